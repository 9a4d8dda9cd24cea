//! Answers on the control socket.

use super::own_answer::OwnAnswer;
use super::request::Request;
use crate::admin::command::Command;
use crate::net::Net;
use crate::proxy::context::Context;
use crate::proxy::orders;

/// Carries out the command in a request. The answer is JSON unless text is asked for.
pub fn answer<N: Net>(request: &Request, context: &mut Context<N>) -> OwnAnswer {
    let (path, query) = request.path_and_query();
    let command = Command::read(request.at(request.method), path, query);
    let told = command
        .and_then(|command| orders::carry_out(&command, &mut context.servers, &mut context.io));
    let as_text = wants_text(request);
    match told {
        Ok(told) if as_text => OwnAnswer::text(told.status(), told.text()),
        Ok(told) => OwnAnswer::json(told.status(), told.json().into_bytes()),
        Err(denied) if as_text => OwnAnswer::text(denied.status(), format!("{denied}\n")),
        Err(denied) => OwnAnswer::json(denied.status(), denied.json().into_bytes()),
    }
}

fn wants_text(request: &Request) -> bool {
    let mut accepted = Vec::new();
    request.field("accept", b",", &mut accepted);
    accepted.starts_with(b"text/plain")
}
