//! The active server of a group: the one that new work goes to.

use super::change::Why;
use super::ids::ServerId;

/// The active server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// The server.
    pub server: ServerId,
    claim: Claim,
}

/// Why the active server is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It was the first in order that could be.
    Order,
    /// It was promoted: no other server takes over while it is ready.
    Promotion,
}

/// A server as it might become active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The server.
    pub server: ServerId,
    /// Its fitness.
    pub fitness: Fitness,
}

/// Whether a server can be active, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    /// It is out, starting or drained.
    Unready,
    /// It is ready, but `failback` holds it back while another server is.
    Held,
    /// It is ready.
    Ready,
}

impl Active {
    /// Before any verdict, the first server in order is active.
    pub fn new(first: ServerId) -> Active {
        Active { server: first, claim: Claim::Order }
    }

    /// A server that was promoted.
    pub fn promoted(server: ServerId) -> Active {
        Active { server, claim: Claim::Promotion }
    }

    /// The same claim of the same server, which has another place after a reload.
    pub fn moved_to(self, server: ServerId) -> Active {
        Active { server, claim: self.claim }
    }

    /// Whether the active server was promoted.
    pub fn is_promoted(self) -> bool {
        self.claim == Claim::Promotion
    }

    /// Looks at all servers, in order: does another one become active? While none is ready, the
    /// active server stays the same.
    pub fn look(&mut self, servers: impl Iterator<Item = Candidate> + Clone) -> Option<Why> {
        let mut all = servers.clone();
        let now = all.find(|candidate| candidate.server == self.server);
        let is_ready = now.is_some_and(|now| now.fitness > Fitness::Unready);
        let (next, why) = match (is_ready, self.claim) {
            (true, Claim::Promotion) => return None,
            (true, Claim::Order) => {
                let mut before = servers.take_while(|candidate| candidate.server != self.server);
                let next = before.find(|candidate| candidate.fitness == Fitness::Ready)?;
                (next, Why::Failback)
            }
            (false, _) => {
                let mut ready = servers.filter(|candidate| candidate.fitness > Fitness::Unready);
                (ready.next()?, Why::Failover)
            }
        };
        *self = Active::new(next.server);
        Some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The servers by their fitness, in order: `-` unready, `h` held, `r` ready.
    fn candidates(fitness: &str) -> Vec<Candidate> {
        let of = |(server, c)| Candidate {
            server: ServerId(server),
            fitness: match c {
                '-' => Fitness::Unready,
                'h' => Fitness::Held,
                _ => Fitness::Ready,
            },
        };
        fitness.chars().enumerate().map(of).collect()
    }

    #[test]
    fn every_claim_with_every_fitness() {
        use Why::{Failback, Failover};
        let table = [
            (0, "rr", None, 0),
            (0, "r-", None, 0),
            (0, "h-", None, 0),
            (0, "-r", Some(Failover), 1),
            (0, "-h", Some(Failover), 1),
            (0, "--", None, 0),
            (1, "-r", None, 1),
            (1, "hr", None, 1),
            (1, "hh", None, 1),
            (1, "rr", Some(Failback), 0),
            (1, "rh", Some(Failback), 0),
            (1, "r-", Some(Failover), 0),
            (1, "h-", Some(Failover), 0),
            (1, "--", None, 1),
            (2, "hrr", Some(Failback), 1),
            (1, "h-r", Some(Failover), 0),
        ];
        for (active, fitness, why, next) in table {
            let mut state = Active::new(ServerId(active));
            let all = candidates(fitness);
            assert_eq!(state.look(all.iter().copied()), why, "{active} {fitness}");
            assert_eq!(state.server, ServerId(next), "{active} {fitness}");
        }
    }

    #[test]
    fn a_promoted_server_stays_active_until_it_fails() {
        let mut state = Active::promoted(ServerId(1));
        assert_eq!(state.look(candidates("rr").into_iter()), None);
        assert_eq!(state.look(candidates("rh").into_iter()), None);
        assert!(state.is_promoted());
        assert_eq!(state.look(candidates("r-").into_iter()), Some(Why::Failover));
        assert!(!state.is_promoted());
        assert_eq!(state.server, ServerId(0));
        assert_eq!(state.look(candidates("rr").into_iter()), None);
    }
}
