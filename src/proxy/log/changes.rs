//! What the log says of the changes of servers.

use std::time::Duration;

use crate::config::model::Group;
use crate::proxy::log::limited_log::ServerWords;
use crate::time::Time;
use crate::upstream::group::{Change, ServerId, Why};
use crate::upstream::retry::Failure;

/// Logs a change of a server, which knows so many workers.
pub fn tell(change: Change, server: ServerId, group: &Group, workers: usize, now: Time) {
    let words = match change {
        Change::WentDown { why, until } => words_of_outage(why, until, now),
        Change::OnTrial => "accepts connections, the next request tries it".to_owned(),
        Change::CameBack => "is up again".to_owned(),
        Change::Starting => "is starting, it takes no queries yet".to_owned(),
        Change::Ready => "is ready".to_owned(),
        Change::Returned if workers == 0 => "takes new work again".to_owned(),
        Change::Returned => {
            format!("takes new work again and knows all workers, {workers} of them")
        }
        Change::Drained => "is drained, it takes no new work".to_owned(),
        Change::Emptied => "has nothing left to do, it can be stopped".to_owned(),
        Change::BecameActive { instead_of, why } => {
            let before = ServerWords(&group.servers[instead_of.0]);
            match why {
                Why::Failover => format!("is active now, {before} is not ready"),
                Why::Failback => format!("is active again, {before} was meanwhile"),
                Why::Promotion if instead_of == server => "is promoted".to_owned(),
                Why::Promotion => format!("is promoted, {before} was active"),
            }
        }
    };
    let (name, server) = (&group.name, ServerWords(&group.servers[server.0]));
    log::warn!("upstream \"{name}\": {server} {words}");
}

fn words_of_outage(why: Failure, until: Time, now: Time) -> String {
    let wait = match (until - now).as_millis() {
        _ if until == Time::NEVER => "is under way".to_owned(),
        0 => "at once".to_owned(),
        wait => format!("in {:?}", Duration::from_millis(wait as u64)),
    };
    format!("{}: it is down, next look {wait}", why.words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_told_however_far_it_is() {
        let now = Time::ZERO + Duration::from_secs(1);
        let words = |until| words_of_outage(Failure::Refused, until, now);
        let down = "refused the connection: it is down, next look";
        assert_eq!(words(Time::NEVER), format!("{down} is under way"));
        assert_eq!(words(now), format!("{down} at once"));
        assert_eq!(words(Time::ZERO), format!("{down} at once"));
        assert_eq!(words(now + Duration::from_millis(1500)), format!("{down} in 1.5s"));
    }
}
