//! Files, includes, command-line directives, and hostile texts.

use std::fs;
use std::path::Path;

use crate::config::model::{LogSink, PidFile};
use crate::config::{ConfigError, Loaded, Main, Source, load, parse_text};

pub(super) fn load_file(path: &Path, extra: Option<&str>) -> Result<Loaded, ConfigError> {
    load(&Source {
        main: Main::File(path.into()),
        prefix: "/p".into(),
        extra: extra.map(Into::into),
        error_log: LogSink::Stderr,
    })
}

#[test]
fn includes_are_relative_to_the_main_file_and_masks_may_match_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("main.conf", "include conf.d/*.conf; include none/*.conf;");
    write("conf.d/1.conf", "server { listen 81; include conf.d/names; }");
    write("conf.d/2.conf", "server { listen 82; }");
    write("conf.d/names", "server_name a b;");
    let loaded = load_file(&dir.path().join("main.conf"), None).unwrap();
    // The third one is the control socket's.
    assert_eq!(loaded.config.virtual_servers.len(), 3);
    assert_eq!(loaded.config.virtual_servers[0].names.len(), 2);
    let names: Vec<_> =
        loaded.files.iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["main.conf", "1.conf", "names", "2.conf"]);
}

#[test]
fn a_missing_file_and_a_cycle_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main.conf");
    let error = load_file(&main, None).unwrap_err().to_string();
    assert!(error.starts_with("error: cannot read"), "{error}");
    fs::write(&main, "include none.conf;").unwrap();
    let error = load_file(&main, None).unwrap_err().to_string();
    assert!(error.contains("none.conf\": No such file") && error.contains(":1:9"), "{error}");
    fs::write(&main, "include other.conf;").unwrap();
    fs::write(dir.path().join("other.conf"), "include main.conf;").unwrap();
    let error = load_file(&main, None).unwrap_err().to_string();
    assert!(error.contains("includes itself"), "{error}");
    assert!(error.contains("other.conf:1:9"), "{error}");
}

#[test]
fn files_that_multiply_by_including_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..15 {
        let next = n + 1;
        let text = format!("include {next}.conf; include {next}.conf; include {next}.conf;");
        fs::write(dir.path().join(format!("{n}.conf")), text).unwrap();
    }
    fs::write(dir.path().join("15.conf"), "").unwrap();
    let error = load_file(&dir.path().join("0.conf"), None).unwrap_err().to_string();
    assert!(error.contains("more than 1000 files"), "{error}");
}

#[test]
fn what_is_included_is_a_regular_file() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main.conf");
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    for path in [Path::new("/dev/zero"), &pipe] {
        fs::write(&main, format!("include {};", path.display())).unwrap();
        let error = load_file(&main, None).unwrap_err().to_string();
        let expected = format!("error: \"{}\" is not a regular file", path.display());
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains("main.conf:1:9"), "{error}");
    }
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(&main, "include conf.d;").unwrap();
    let error = load_file(&main, None).unwrap_err().to_string();
    assert!(error.contains("conf.d\" is a directory"), "{error}");
    assert!(error.contains("conf.d/*.conf;\""), "{error}");
}

#[test]
fn a_main_file_without_end_is_read_up_to_the_limit() {
    let error = load_file(Path::new("/dev/zero"), None).unwrap_err().to_string();
    assert_eq!(error, "error: \"/dev/zero\" is larger than 16777216 bytes");
    assert_eq!(load_file(Path::new("/dev/null"), None).unwrap().files[0].text.len(), 0);
}

#[test]
fn a_pipe_can_be_the_main_file_once() {
    let (read, mut write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut write, b"server { listen 81; }").unwrap();
    drop(write);
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&read));
    let config = load_file(Path::new(&path), None).unwrap().config;
    assert_eq!(config.listens[0].address.to_string(), "0.0.0.0:81");
    // A reload that blocked here would stop all sessions.
    let error = load_file(Path::new(&path), None).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("error: nothing is left in the pipe \"{path}\"")),
        "{error}"
    );
}

#[test]
fn all_files_together_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main.conf");
    fs::write(dir.path().join("large"), vec![b' '; 15 << 20]).unwrap();
    fs::write(&main, "include large; include large;\ninclude large;").unwrap();
    let error = load_file(&main, None).unwrap_err().to_string();
    assert!(error.starts_with("error: all files together are larger than 33554432"), "{error}");
    assert!(error.contains("main.conf:2:9"), "{error}");
    fs::write(&main, "include larger;").unwrap();
    fs::write(dir.path().join("larger"), vec![b' '; (16 << 20) + 1]).unwrap();
    let error = load_file(&main, None).unwrap_err().to_string();
    assert!(error.contains("larger\" is larger than 16777216 bytes"), "{error}");
}

#[test]
fn the_command_line_adds_main_directives_only() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main.conf");
    fs::write(&main, "pid a.pid; server { }").unwrap();
    let config = load_file(&main, Some("daemon on;")).unwrap().config;
    assert!(config.process.daemon);
    assert_eq!(config.process.pid, PidFile::At("/p/a.pid".into()));
    let error = load_file(&main, Some("server { }")).unwrap_err().to_string();
    assert!(error.contains("not allowed here") && error.contains("command line:1:1"), "{error}");
    let error = load_file(&main, Some("pid b.pid;")).unwrap_err().to_string();
    assert!(error.contains("\"pid\" is given twice"), "{error}");
}

#[test]
fn blocks_may_not_be_nested_without_end() {
    for depth in [40, 100_000] {
        let text = "location / { ".repeat(depth);
        let error = parse_text("a.conf", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("error: more than 32 blocks inside each other"), "{error}");
    }
}

#[test]
fn any_piece_of_a_file_and_any_changed_byte_give_an_answer() {
    let text = "upstream a { server 127.0.0.1:80 weight=2; }\nserver { listen [::1]:80; \
                server_name *.a 'é'; location ^~ /x { proxy_pass http://a/${y}; return 200 \"$host\\n\"; } }";
    for end in 0..text.len() {
        let _ = parse_text("a.conf", &text.as_bytes()[..end]);
        for byte in [0, b'{', b'}', b'"', b'$', b';', b'\\', b'\n', 0xff, b':', b'=', b' '] {
            let mut changed = text.as_bytes().to_vec();
            changed[end] = byte;
            if let Err(error) = parse_text("a.conf", &changed) {
                let shown = error.to_string();
                assert!(shown.split("\n\n").all(|one| one.lines().count() <= 6), "{shown}");
            }
        }
    }
}

#[test]
fn a_very_long_line_is_shown_around_its_place() {
    let text = format!("server {{ {} listn 80; }}", "server_name a; ".repeat(100));
    let text = text.replacen("listn", "\u{7}listn", 1);
    let shown = parse_text("a.conf", text.as_bytes()).unwrap_err().to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
    assert!(shown.contains("\u{fffd}listn"), "{shown}");
}
