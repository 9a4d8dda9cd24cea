//! Whatever clients, servers, the network and a stranger do, the proxy neither panics nor spins,
//! answers or closes every connection, keeps nothing, and treats everybody else as the model of
//! the simulation allows.
//!
//! The byte 0xff separates the parts of the input. The first part decides who takes part and what
//! goes wrong, the second is what a stranger sends, the third decides for the network, and each one
//! that follows for one server or client, in order. What a part leaves open is decided by a seed.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use switchover::net::sim::{Pace, Parting, Rng, Script, StrangerPlan, disguise};
use switchover::time::Time;

/// The world of `tests/simulation`; not all of it is needed here.
#[allow(dead_code)]
#[path = "../../tests/simulation/common/mod.rs"]
mod common;

use common::scenario::Scenario;
use common::seeds::play;
use common::setup::proxy_address;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|byte| *byte == 0xff);
    let mut part = || parts.next().unwrap_or_default();
    let (choices, strange, network) = (part(), part(), part());
    let actors: Vec<&[u8]> = parts.collect();
    let mut scenario = Scenario::of(Rng::scripted(1, Script::new(choices, &[])));
    if !strange.is_empty() {
        scenario.strangers.push(stranger(strange));
    }
    if let Err(limited_log) = play(scenario, Rng::scripted(2, Script::new(network, &actors)), false) {
        panic!("{}", limited_log.join("\n"));
    }
});

/// Comes at once and sends its bytes in two segments, so that heads and bodies are cut anywhere.
fn stranger(bytes: &[u8]) -> StrangerPlan {
    let mut bytes = bytes.to_vec();
    disguise(&mut bytes);
    let after = bytes.len() / 2;
    StrangerPlan {
        to: proxy_address(),
        starts: Time::ZERO,
        bytes,
        sends: Pace::Stalls { after, pause: Duration::from_millis(20) },
        then: Parting::Stays,
    }
}
