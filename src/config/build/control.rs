//! The control socket: a listener and a virtual server that no directive of `http {}` can reach.

use std::path::Path;
use std::time::Duration;

use crate::address::Address;
use crate::config::build::block::Block;
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::build::settings::HttpLevel;
use crate::config::diagnostic::Fault;
use crate::config::model::{
    Action, Config, Control, Listen, Location, Matcher, Purpose, ServerName, Serves, VirtualServer,
    VirtualServerId,
};

/// Checks that no `listen` has the path of the control socket: its clients could give commands.
/// The default socket makes way.
pub(super) fn keep_apart(
    builder: &mut Builder,
    main: Block<'_>,
    control: &mut Control,
    listens: &[Listen],
) {
    let (Control::Default(path) | Control::At(path)) = &*control else { return };
    let is_same = |listen: &&Listen| match &listen.address {
        Address::Unix(other) => other == path,
        Address::Inet(_) => false,
    };
    let Some(taken) = listens.iter().find(is_same) else { return };
    match main.word("control") {
        Some(word) => {
            let error = BuildError::ControlInUse(taken.address.clone());
            builder.faults.note(Fault::new(word.at, error));
        }
        None => {
            builder.remarks.push((None, Remark::ControlTaken(taken.address.clone())));
            *control = Control::Off;
        }
    }
}

/// Adds the control socket to what the process listens on.
pub(in crate::config) fn listen_for_commands(config: &mut Config) {
    let (path, purpose) = match &config.process.control {
        Control::Default(path) => (path, Purpose::CommandsIfPossible),
        Control::At(path) => (path, Purpose::Commands),
        Control::Off => return,
    };
    let listen = listen(path, purpose, VirtualServerId(config.virtual_servers.len()));
    config.listens.push(listen);
    config.virtual_servers.push(virtual_server());
}

fn listen(path: &Path, purpose: Purpose, server: VirtualServerId) -> Listen {
    let serves = Serves::Http { servers: vec![server], default: server };
    Listen { purpose, ..Listen::new(Address::Unix(path.into()), serves) }
}

/// One location for every path, whatever `http {}` says.
fn virtual_server() -> VirtualServer {
    let HttpLevel { mut limits, mut settings, .. } = HttpLevel::default();
    limits.header_timeout = PATIENCE;
    settings.max_body = Some(BODY_LIMIT);
    settings.body_timeout = PATIENCE;
    settings.send_timeout = PATIENCE;
    settings.keepalive_timeout = Some(PATIENCE);
    let everything = Matcher::Prefix((*b"/").into());
    VirtualServer {
        tls: None,
        names: vec![ServerName::Exact("".into())],
        limits,
        h2c: None,
        answer: None,
        outside: settings.clone(),
        locations: vec![Location { matcher: everything, action: Action::Control, settings }],
    }
}

/// Timeouts of the control socket: its clients are on the same machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest body of a command, in bytes; none needs one.
const BODY_LIMIT: u64 = 1 << 10;
