//! The command line: nginx's options, three of ours that replace a file, and commands to a running
//! process.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use super::control::{Form, Named, Order, Patience};
use crate::config::model::LogSink;
use crate::config::text::value::{self, UnresolvedAddress, ValueError};
use crate::config::{Main, Source};

/// The task given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve.
    Run(Source),
    /// `-t`, `-T`: test the configuration.
    Test {
        /// The configuration.
        source: Source,
        /// Whether to print all files.
        dump: Dump,
        /// Whether to report success.
        talk: Talk,
    },
    /// `-s`: signal a running process.
    Signal(Source, Signal),
    /// `promote`, `drain` or `status`: a command to a running process.
    Order(Source, Order),
    /// `-v`.
    Version,
    /// `-V`.
    Features,
    /// `-h`.
    Help,
}

/// Whether the files are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// `-t`.
    No,
    /// `-T`.
    All,
}

/// Whether anything besides errors is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// `-q`.
    ErrorsOnly,
    /// Without `-q`.
    All,
}

/// The signals that `-s` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop at once.
    Stop,
    /// Finish exchanges in flight, then stop.
    Quit,
    /// Reload the configuration.
    Reload,
    /// Reopen log files.
    Reopen,
}

/// The options collected so far.
#[derive(Default)]
struct GivenOptions {
    config: Option<PathBuf>,
    prefix: Option<PathBuf>,
    extra: Option<String>,
    error_log: Option<PathBuf>,
    dump: Option<Dump>,
    signal: Option<Signal>,
    quiet: Option<Talk>,
    listen: Vec<String>,
    primaries: Vec<String>,
    backups: Vec<String>,
    words: Vec<String>,
    upstream: Option<String>,
    wait: Option<Patience>,
    json: Option<Form>,
}

/// Parses the command line; the first argument is the program's name. If no file is named, the
/// first default file that exists is used.
///
/// # Errors
/// The first invalid argument, or no file at all.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Result<Task, ArgumentError> {
    let mut parser = Parser::from_iter(args);
    let mut options = GivenOptions::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('c') => options.config = Some(parser.value()?.into()),
            Arg::Short('p') => options.prefix = Some(parser.value()?.into()),
            Arg::Short('g') => options.extra = Some(parser.value()?.string()?),
            Arg::Short('e') => options.error_log = Some(parser.value()?.into()),
            Arg::Short('t') => options.dump = Some(options.dump.unwrap_or(Dump::No)),
            Arg::Short('T') => options.dump = Some(Dump::All),
            Arg::Short('q') => options.quiet = Some(Talk::ErrorsOnly),
            Arg::Short('s') => options.signal = Some(signal(parser.value()?.string()?)?),
            Arg::Short('v') | Arg::Long("version") => return Ok(Task::Version),
            Arg::Short('V') => return Ok(Task::Features),
            Arg::Short('h' | '?') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Long("listen") => options.listen.push(parser.value()?.string()?),
            Arg::Long("primary") => options.primaries.push(parser.value()?.string()?),
            Arg::Long("backup") => options.backups.push(parser.value()?.string()?),
            Arg::Long("upstream") => options.upstream = Some(parser.value()?.string()?),
            Arg::Long("wait") => options.wait = Some(Patience::UntilEmpty),
            Arg::Long("json") => options.json = Some(Form::Json),
            Arg::Value(word) if options.expects_word(&word) => options.words.push(word.string()?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => {
                return Err(ArgumentError::Option(arg.unexpected()));
            }
        }
    }
    options.task(exists)
}

fn signal(name: String) -> Result<Signal, ArgumentError> {
    match name.as_str() {
        "stop" => Ok(Signal::Stop),
        "quit" => Ok(Signal::Quit),
        "reload" => Ok(Signal::Reload),
        "reopen" => Ok(Signal::Reopen),
        _ => Err(ArgumentError::Signal(name)),
    }
}

/// The command in `words`, if there is one.
fn order(
    words: &[String],
    upstream: Option<String>,
    wait: Option<Patience>,
    json: Option<Form>,
) -> Result<Option<Order>, ArgumentError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(Some(match (words.as_slice(), upstream, wait, json) {
        ([], ..) => return Ok(None),
        (["promote", server], upstream, None, None) => {
            Order::Promote(Named { server: (*server).to_owned(), upstream })
        }
        (["drain", server], upstream, wait, None) => {
            let named = Named { server: (*server).to_owned(), upstream };
            Order::Drain(named, wait.unwrap_or(Patience::None))
        }
        (["status"], None, None, json) => Order::Status(json.unwrap_or(Form::Text)),
        ([command, ..], ..) => return Err(ArgumentError::Command((*command).to_owned())),
    }))
}

impl GivenOptions {
    /// Whether a word is a command, or the server of one.
    fn expects_word(&self, word: &std::ffi::OsStr) -> bool {
        match self.words.as_slice() {
            [] => COMMANDS.iter().any(|command| word == *command),
            [command] => command != "status",
            _ => false,
        }
    }

    fn task(self, exists: impl Fn(&Path) -> bool) -> Result<Task, ArgumentError> {
        let main = self.main(exists)?;
        let prefix = self.prefix.unwrap_or_default();
        let error_log = match self.error_log {
            None => LogSink::Stderr,
            Some(path) if path.as_os_str() == "stderr" => LogSink::Stderr,
            Some(path) => LogSink::File(prefix.join(path)),
        };
        let source = Source { main, prefix, extra: self.extra, error_log };
        let command = [self.upstream.is_some(), self.wait.is_some(), self.json.is_some()];
        if let Some(order) = order(&self.words, self.upstream, self.wait, self.json)? {
            return Ok(Task::Order(source, order));
        }
        if command.contains(&true) {
            return Err(ArgumentError::NoCommand);
        }
        Ok(match (self.signal, self.dump) {
            (Some(signal), _) => Task::Signal(source, signal),
            (None, Some(dump)) => {
                Task::Test { source, dump, talk: self.quiet.unwrap_or(Talk::All) }
            }
            (None, None) => Task::Run(source),
        })
    }

    fn main(&self, exists: impl Fn(&Path) -> bool) -> Result<Main, ArgumentError> {
        let prefix = self.prefix.clone().unwrap_or_default();
        let without_file =
            !(self.listen.is_empty() && self.primaries.is_empty() && self.backups.is_empty());
        match (&self.config, without_file) {
            (Some(_), true) => Err(ArgumentError::FileAndServers),
            (None, true) => self.made_of_servers(),
            (Some(path), false) => Ok(Main::File(prefix.join(path))),
            (None, false) => {
                let usual = [prefix.join(FILE), Path::new(DIRECTORY).join(FILE)];
                match usual.iter().find(|path| exists(path)) {
                    Some(path) => Ok(Main::File(path.clone())),
                    None => Err(ArgumentError::NoFile(usual)),
                }
            }
        }
    }

    /// The configuration for `--listen`, `--primary` and `--backup`: a group with backups, and
    /// settings that suit Trino.
    fn made_of_servers(&self) -> Result<Main, ArgumentError> {
        if self.listen.is_empty() {
            return Err(ArgumentError::Missing("--listen"));
        }
        if self.primaries.is_empty() {
            return Err(ArgumentError::Missing("--primary"));
        }
        let mut text = String::from("upstream trino {\n    trino on;\n");
        for address in &self.primaries {
            let address = server(address)?;
            text += &format!("    server {address} max_fails=1 fail_timeout=3s;\n");
        }
        for address in &self.backups {
            let address = server(address)?;
            text += &format!("    server {address} max_fails=1 fail_timeout=3s backup;\n");
        }
        text += "}\nserver {\n";
        for address in &self.listen {
            text += &format!("    listen {};\n", listener(address)?);
        }
        text += SERVER_TEXT;
        Ok(Main::Text { name: COMMAND_LINE.into(), text })
    }
}

/// The address of a server, as a word of a configuration. A coordinator's URL is accepted if it
/// holds nothing but an address.
fn server(text: &str) -> Result<String, ArgumentError> {
    if text.starts_with("https://") {
        return Err(ArgumentError::Tls(text.into()));
    }
    let scheme = text.get(.."http://".len()).filter(|it| it.eq_ignore_ascii_case("http://"));
    let Some(url) = scheme.map(|scheme| &text[scheme.len()..]) else {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ArgumentError::PortAlone(text.into()));
        }
        return word(text, value::place(text));
    };
    let address = url.strip_suffix('/').unwrap_or(url);
    match value::place(address) {
        // The default port of such a URL is 80, which is not a coordinator's.
        Ok(UnresolvedAddress::Inet(_, None)) => Err(ArgumentError::NoPort(text.into())),
        Ok(UnresolvedAddress::Unix(_)) | Err(_) if address.contains('/') => {
            Err(ArgumentError::Url(text.into()))
        }
        place @ (Ok(UnresolvedAddress::Unix(_) | UnresolvedAddress::Inet(_, Some(_))) | Err(_)) => {
            word(address, place)
        }
    }
}

/// An address to listen on, as a word of a configuration; `:8080` means all addresses.
fn listener(text: &str) -> Result<String, ArgumentError> {
    let whole = if text.starts_with(':') { format!("*{text}") } else { text.into() };
    word(&whole, value::listen_place(&whole))
}

/// An address as a word of a configuration. The default port is Trino's.
fn word(text: &str, place: Result<UnresolvedAddress, ValueError>) -> Result<String, ArgumentError> {
    let port = match place.map_err(ArgumentError::Address)? {
        UnresolvedAddress::Inet(_, None) => PORT,
        UnresolvedAddress::Inet(_, Some(_)) | UnresolvedAddress::Unix(_) => "",
    };
    // A path may contain any character.
    Ok(format!("\"{}{port}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The commands to a running process.
const COMMANDS: [&str; 3] = ["promote", "drain", "status"];
/// The default file, looked up in the prefix or in the current directory.
const FILE: &str = "switchover.conf";
const DIRECTORY: &str = "/etc/switchover";
/// A coordinator's default port.
const PORT: &str = ":8080";
/// Name of a configuration made from options.
const COMMAND_LINE: &str = "command line";

/// Trino's heads reach 2 MB and its responses may take minutes. It builds links from `Host` with
/// the port, and rejects `X-Forwarded-*` unless configured otherwise, so none is added. Its POSTs
/// only register a query, which starts with a later GET, so they may be repeated.
const SERVER_TEXT: &str = "    large_client_header_buffers 4 2m;
    location / {
        proxy_pass http://trino;
        proxy_connect_timeout 3s;
        proxy_next_upstream error timeout non_idempotent;
        proxy_read_timeout 10m;
        proxy_send_timeout 10m;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
    }
}
";

/// The output of `-h`.
pub const HELP: &str = "\
Usage: switchover [-p PREFIX] [-c FILE] [-g DIRECTIVES] [-e FILE] [-t|-T|-q] [-s SIGNAL]
       switchover --listen ADDR --primary ADDR [--backup ADDR]
       switchover [-p PREFIX] [-c FILE] promote SERVER [--upstream NAME]
       switchover [-p PREFIX] [-c FILE] drain SERVER [--upstream NAME] [--wait]
       switchover [-p PREFIX] [-c FILE] status [--json]

Commands to the running process:
  promote SERVER makes that server active, until it fails or another one is promoted
  drain SERVER   gives that server no new work, until it is promoted
  status         shows every server: its state, since when, and what is in flight at it
  --upstream NAME  the upstream, where SERVER is in several
  --wait         with drain: returns once nothing is in flight at the server, and none of
                 its queries was asked for during 60 s
  --json         with status: as JSON

Options:
  -c FILE        configuration, relative to PREFIX (default: switchover.conf, or else
                 /etc/switchover/switchover.conf)
  -p PREFIX      where relative paths start from (default: the current directory)
  -g DIRECTIVES  directives of the main context, before those of the file
  -e FILE        error log until the configuration names another; \"stderr\" by default
  -t             test the configuration and exit
  -T             like -t, and print all its files
  -q             with -t: print errors only
  -s SIGNAL      signal the running process: stop, quit, reload or reopen; waits for a reload
  -v             print the version
  -V             print the version and the features built in
  -h, -?         print this
  --listen ADDR  without a file: where to listen; may be repeated
  --primary ADDR without a file: a server; may be repeated
  --backup ADDR  without a file: a server to use if no primary is up; may be repeated

ADDR is HOST:PORT, HOST (port 8080) or unix:PATH; for servers also http://HOST:PORT.
SERVER is a server as written in the file, or its address.
Without a file there is no pid file and no command, unless -g 'pid FILE;' names one.

Examples:
  switchover --listen 0.0.0.0:8080 --primary trino-a:8080 --backup trino-b:8080
  switchover -t -c /etc/switchover/switchover.conf
  switchover drain trino-a:8080 --wait && ssh trino-a restart-trino
";

/// Why the command line is invalid.
#[derive(Debug)]
pub enum ArgumentError {
    /// An unknown option, or one without its value.
    Option(lexopt::Error),
    /// An unknown signal for `-s`.
    Signal(String),
    /// A command with missing or wrong arguments.
    Command(String),
    /// Options of a command without one.
    NoCommand,
    /// Both a file and servers.
    FileAndServers,
    /// An option that the others need.
    Missing(&'static str),
    /// Not an address.
    Address(ValueError),
    /// A server that speaks TLS.
    Tls(String),
    /// A URL with more than an address.
    Url(String),
    /// A URL without a port.
    NoPort(String),
    /// A server given only as a port.
    PortAlone(String),
    /// No file is named, and none of the default files exists.
    NoFile([PathBuf; 2]),
}

impl From<lexopt::Error> for ArgumentError {
    fn from(error: lexopt::Error) -> ArgumentError {
        ArgumentError::Option(error)
    }
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentError::Option(error) => write!(f, "{error}"),
            ArgumentError::Signal(name) => {
                write!(f, "invalid signal \"{name}\": use stop, quit, reload or reopen")
            }
            ArgumentError::Command(name) => write!(
                f,
                "\"{name}\" is incomplete or has an option that it does not take: write \
                 promote SERVER, drain SERVER or status"
            ),
            ArgumentError::NoCommand => f.write_str(
                "--upstream, --wait and --json belong to the commands promote, drain and status",
            ),
            ArgumentError::FileAndServers => {
                f.write_str("-c cannot be combined with --listen, --primary or --backup")
            }
            ArgumentError::Missing(option) => write!(f, "option {option} is missing"),
            ArgumentError::Address(error) => write!(f, "{error}"),
            ArgumentError::Tls(url) => write!(
                f,
                "\"{url}\": TLS is passed on unread, by \"stream {{}}\" in a file; servers of the \
                 command line speak http"
            ),
            ArgumentError::Url(url) => {
                write!(f, "\"{url}\" is more than an address: write http://HOST:PORT")
            }
            ArgumentError::NoPort(url) => {
                let url = url.trim_end_matches('/');
                write!(f, "\"{url}\" has no port: write {url}:8080, or {url}:80")
            }
            ArgumentError::PortAlone(port) => {
                write!(f, "\"{port}\" is a port without a host: write HOST:{port}")
            }
            ArgumentError::NoFile([here, there]) => write!(
                f,
                "no configuration: there is neither \"{}\" nor \"{}\"\n  \
                 with a file:    switchover -c FILE\n  \
                 without a file: switchover --listen 0.0.0.0:8080 --primary trino-a:8080 \
                 --backup trino-b:8080\n\
                 -h shows all options",
                here.display(),
                there.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::config::text::files::SourceFile;

    fn task(line: &str) -> Result<Task, String> {
        let words = std::iter::once("switchover").chain(line.split(' ').filter(|w| !w.is_empty()));
        parse(words.map(OsString::from), |_| true).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_file_in_the_prefix_it_is_that_of_the_system() {
        let with = |line: &'static str, found: &'static str| {
            let words = std::iter::once("switchover").chain(line.split(' '));
            parse(words.map(OsString::from), |path| path == Path::new(found))
        };
        let system = "/etc/switchover/switchover.conf";
        assert_eq!(with("-p /p", system).unwrap(), Task::Run(source(system, "/p")));
        let own = "/p/switchover.conf";
        assert_eq!(with("-p /p", own).unwrap(), Task::Run(source(own, "/p")));
        // A file named explicitly is used whether or not it exists.
        assert_eq!(with("-p /p -c a", system).unwrap(), Task::Run(source("/p/a", "/p")));
        let error = with("-p /p", "/p/a").unwrap_err().to_string();
        for word in [own, system, "-c FILE", "--listen 0.0.0.0:8080 --primary trino-a:8080"] {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
    }

    #[test]
    fn addresses_of_the_command_line_are_understood_as_they_are_written() {
        for (text, expected) in [
            ("a", "a:8080"),
            ("a:1", "a:1"),
            ("[::1]", "[::1]:8080"),
            ("[::1]:1", "[::1]:1"),
            ("unix:/a b", "unix:/a b"),
            ("http://a:1", "a:1"),
            ("HTTP://a:1", "a:1"),
            ("http://[::1]:1/", "[::1]:1"),
        ] {
            assert_eq!(server(text).unwrap(), format!("\"{expected}\""), "{text}");
        }
        for (text, expected) in [
            ("http://a", "\"http://a\" has no port: write http://a:8080, or http://a:80"),
            ("http://a:1/ui", "\"http://a:1/ui\" is more than an address: write http://HOST:PORT"),
            ("http://:1", "\":1\" is not an address"),
            ("8080", "\"8080\" is a port without a host: write HOST:8080"),
            (":8080", "\":8080\" is not an address"),
        ] {
            assert_eq!(server(text).unwrap_err().to_string(), expected, "{text}");
        }
        assert!(server("https://a:1").unwrap_err().to_string().contains("\"stream {}\""));
        for (text, expected) in [
            (":1", "*:1"),
            ("1", "1"),
            ("*", "*:8080"),
            ("0.0.0.0", "0.0.0.0:8080"),
            ("unix:/a", "unix:/a"),
        ] {
            assert_eq!(listener(text).unwrap(), format!("\"{expected}\""), "{text}");
        }
    }

    fn source(path: &str, prefix: &str) -> Source {
        Source {
            main: Main::File(path.into()),
            prefix: prefix.into(),
            extra: None,
            error_log: LogSink::Stderr,
        }
    }

    #[test]
    fn files_are_relative_to_the_prefix() {
        assert_eq!(task(""), Ok(Task::Run(source("switchover.conf", ""))));
        assert_eq!(task("-c a.conf"), Ok(Task::Run(source("a.conf", ""))));
        assert_eq!(task("-p /p -c a.conf"), Ok(Task::Run(source("/p/a.conf", "/p"))));
        assert_eq!(task("-c /a.conf -p /p"), Ok(Task::Run(source("/a.conf", "/p"))));
        let Ok(Task::Run(with_log)) = task("-p /p -e e.log -gdaemon") else { panic!() };
        assert_eq!(with_log.error_log, LogSink::File("/p/e.log".into()));
        assert_eq!(with_log.extra.as_deref(), Some("daemon"));
    }

    #[test]
    fn options_say_what_to_do() {
        let source = || source("switchover.conf", "");
        let test = |dump, talk| Task::Test { source: source(), dump, talk };
        assert_eq!(task("-t"), Ok(test(Dump::No, Talk::All)));
        assert_eq!(task("-tq"), Ok(test(Dump::No, Talk::ErrorsOnly)));
        assert_eq!(task("-T -t"), Ok(test(Dump::All, Talk::All)));
        assert_eq!(task("-s reload"), Ok(Task::Signal(source(), Signal::Reload)));
        assert_eq!(task("-v"), Ok(Task::Version));
        assert_eq!(task("-V"), Ok(Task::Features));
        assert_eq!(task("-?"), Ok(Task::Help));
    }

    #[test]
    fn what_is_not_understood_is_one_clear_line() {
        for (line, expected) in [
            ("-x", "invalid option '-x'"),
            ("--frob", "invalid option '--frob'"),
            ("a.conf", "unexpected argument \"a.conf\""),
            ("-c", "missing argument for option '-c'"),
            ("-s restart", "invalid signal \"restart\": use stop, quit, reload or reopen"),
            ("--listen 80", "option --primary is missing"),
            ("--primary a", "option --listen is missing"),
            ("--listen 80 --primary a;", "\"a;\" is not an address"),
            (
                "-c a --listen 80 --primary a",
                "-c cannot be combined with --listen, --primary or --backup",
            ),
        ] {
            assert_eq!(task(line), Err(expected.into()), "{line}");
        }
    }

    #[test]
    fn servers_of_the_command_line_are_a_configuration() {
        let line =
            "--listen 127.0.0.1:8080 --listen unix:/s --primary 127.0.0.1:1 --backup [::1]:2";
        let Ok(Task::Run(source)) = task(line) else { panic!() };
        let loaded = load(&source).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.config.listens.len(), 2);
        let [primary, backup] = loaded.config.groups[0].servers.as_slice() else { panic!() };
        assert!(!primary.backup && backup.backup);
        assert_eq!(backup.fail_timeout.as_secs(), 3);
        let [SourceFile { path, .. }] = loaded.files.as_slice() else { panic!() };
        assert_eq!(path.to_str(), Some("command line"));
    }
}
