//! `control` and `state`.

use crate::config::model::{Control, StateFile};
use crate::config::tests::broken::refused;
use crate::config::tests::{config, notices};

#[test]
fn commands_are_taken_at_a_unix_socket_only() {
    refused(
        r"control 127.0.0.1:9000;
http {}",
        r#"
error: "127.0.0.1:9000" is not possible here
 --> a.conf:1:9
  |
1 | control 127.0.0.1:9000;
  |         ^^^^^^^^^^^^^^
  help: write one of: unix:PATH, off
"#,
    );
}

#[test]
fn the_control_socket_is_no_servers() {
    refused(
        r"control unix:/run/a.sock;
server { listen unix:/run/a.sock; }",
        r#"
error: unix:/run/a.sock has a server already
 --> a.conf:1:9
  |
1 | control unix:/run/a.sock;
  |         ^^^^^^^^^^^^^^^^
  help: commands need a socket of their own: name another path, or write "control off"
"#,
    );
}

#[test]
fn a_server_at_the_default_place_takes_it() {
    let text = "server { listen unix:/prefix/switchover.sock; }";
    assert_eq!(config(text).process.control, Control::Off);
    let said = notices(text);
    assert!(said.contains("write \"control unix:PATH\", or \"control off\""), "{said}");
}

#[test]
fn the_files_stand_beside_the_pid_file_unless_they_are_written() {
    let files = |text: &str| {
        let process = config(text).process;
        (process.control, process.state)
    };
    let control = || Control::Default("/run/switchover.sock".into());
    let state = || StateFile::Default("/run/switchover.state".into());
    assert_eq!(files("pid /run/a.pid; server {}"), (control(), state()));
    assert_eq!(files("pid off; server {}"), (Control::Off, StateFile::Off));
    assert_eq!(files("control off; server {}"), (Control::Off, StateFile::Off));
    let written = (Control::At("/run/c".into()), state());
    assert_eq!(files("pid off; control unix:/run/c; server {}"), written);
    let kept = (Control::Off, StateFile::At("/prefix/s".into()));
    assert_eq!(files("control off; state s; server {}"), kept);
    assert_eq!(files("pid /run/a.pid; state off; server {}"), (control(), StateFile::Off));
}
