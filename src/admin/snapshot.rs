//! What is known of all groups at one moment, as JSON and as a table.

use std::fmt::Write;
use std::time::Duration;

use super::json::{Object, array};
use super::work::Work;
use crate::config::model::Layer;
use crate::upstream::group::{ServerState, Standing};

/// A group.
#[derive(Debug)]
pub struct GroupShown {
    /// Its name.
    pub name: String,
    /// Whether it takes requests or connections.
    pub layer: Layer,
    /// Whether its servers are coordinators of Trino.
    pub is_trinos: bool,
    /// Which server takes all new work.
    pub active: ActiveShown,
    /// Its servers.
    pub servers: Vec<ServerShown>,
}

/// Which server of a group takes all new work: its place among the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveShown {
    /// None: they take turns.
    InTurn,
    /// This one, by their order.
    ByOrder(usize),
    /// This one, by the operator's command.
    Promoted(usize),
}

/// A server.
#[derive(Debug)]
pub struct ServerShown {
    /// Its name in the file.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Whether it is a backup.
    pub is_backup: bool,
    /// How it stands.
    pub standing: Standing,
    /// What it still has to do.
    pub work: Work,
}

impl ActiveShown {
    fn place(self) -> Option<usize> {
        match self {
            ActiveShown::InTurn => None,
            ActiveShown::ByOrder(place) | ActiveShown::Promoted(place) => Some(place),
        }
    }
}

/// The groups as JSON.
pub fn json(groups: &[GroupShown]) -> String {
    let mut out = String::new();
    Object::write(&mut out, |all| array(all.member("upstreams"), groups, group));
    out.push('\n');
    out
}

fn group(shown: &GroupShown, out: &mut String) {
    Object::write(out, |group| {
        group.text("name", &shown.name);
        group.text("layer", shown.layer.name());
        group.flag("trino", shown.is_trinos);
        if let Some(active) = shown.active.place().and_then(|place| shown.servers.get(place)) {
            Object::write(group.member("active"), |object| {
                object.text("name", &active.name);
                object.text("address", &active.address);
                object.flag("promoted", matches!(shown.active, ActiveShown::Promoted(_)));
            });
        }
        array(group.member("servers"), &shown.servers, server);
    });
}

fn server(shown: &ServerShown, out: &mut String) {
    Object::write(out, |server| {
        server.text("name", &shown.name);
        server.text("address", &shown.address);
        server.flag("backup", shown.is_backup);
        server.text("state", shown.standing.state.word());
        if let Some(lasting) = shown.standing.lasting {
            server.number("since_seconds", lasting.as_secs());
        }
        if let Some(why) = shown.standing.why {
            server.text("why", why.words());
        }
        shown.work.write(server);
        if shown.standing.state == ServerState::Drained {
            server.flag("empty", shown.work.is_empty());
        }
    });
}

/// The groups as a table for people.
pub fn table(groups: &[GroupShown]) -> String {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    for group in groups {
        for (place, server) in group.servers.iter().enumerate() {
            rows.push(row(group, place, server));
        }
    }
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn row(group: &GroupShown, place: usize, server: &ServerShown) -> [String; COLUMNS.len()] {
    let upstream = match group.layer {
        Layer::Http => group.name.clone(),
        Layer::Stream => format!("{} (stream)", group.name),
    };
    let since = server.standing.lasting.map_or_else(|| "-".to_owned(), shown_duration);
    let mut notes: Vec<&str> = Vec::new();
    match group.active {
        ActiveShown::ByOrder(active) if active == place => notes.push("active"),
        ActiveShown::Promoted(active) if active == place => notes.push("active, promoted"),
        ActiveShown::InTurn | ActiveShown::ByOrder(_) | ActiveShown::Promoted(_) => {}
    }
    if server.is_backup {
        notes.push("backup");
    }
    if server.standing.state == ServerState::Drained && server.work.is_empty() {
        notes.push("empty");
    }
    notes.extend(server.standing.why.map(|why| why.words()));
    [
        upstream,
        server.name.clone(),
        server.address.clone(),
        server.standing.state.word().to_owned(),
        since,
        server.work.in_flight.to_string(),
        notes.join(", "),
    ]
    .map(|cell| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

/// A duration with its two largest units: `3d 4h`, `5m 2s`, `8s`.
fn shown_duration(lasting: Duration) -> String {
    let seconds = lasting.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        (_, _, _) => format!("{days}d {}h", hours % 24),
    }
}

const COLUMNS: [&str; 7] =
    ["UPSTREAM", "SERVER", "ADDRESS", "STATE", "SINCE", "IN FLIGHT", "NOTES"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::retry::Failure;

    fn groups() -> Vec<GroupShown> {
        let server = |name: &str, state, seconds: Option<u64>, why, in_flight| ServerShown {
            name: name.into(),
            address: "10.0.0.1:8080".into(),
            is_backup: name.starts_with('b'),
            standing: Standing { state, lasting: seconds.map(Duration::from_secs), why },
            work: Work::new(in_flight, None),
        };
        use ServerState::{Drained, Out, Ready};
        vec![
            GroupShown {
                name: "trino".into(),
                layer: Layer::Http,
                is_trinos: true,
                active: ActiveShown::Promoted(1),
                servers: vec![
                    server("a", Drained, Some(75), None, 0),
                    server("b", Ready, None, None, 3),
                ],
            },
            GroupShown {
                name: "raw".into(),
                layer: Layer::Stream,
                is_trinos: false,
                active: ActiveShown::InTurn,
                servers: vec![server("c\n", Out, Some(200_000), Some(Failure::Refused), 0)],
            },
        ]
    }

    #[test]
    fn the_table_has_one_line_per_server() {
        let expected = "\
UPSTREAM      SERVER  ADDRESS        STATE    SINCE   IN FLIGHT  NOTES
trino         a       10.0.0.1:8080  drained  1m 15s  0          empty
trino         b       10.0.0.1:8080  ready    -       3          active, promoted, backup
raw (stream)  c?      10.0.0.1:8080  out      2d 7h   0          refused the connection
";
        assert_eq!(table(&groups()), expected);
    }

    #[test]
    fn the_json_says_the_same() {
        let expected = r#"{"upstreams":[{"name":"trino","layer":"http","trino":true,"#.to_owned()
            + r#""active":{"name":"b","address":"10.0.0.1:8080","promoted":true},"servers":["#
            + r#"{"name":"a","address":"10.0.0.1:8080","backup":false,"state":"drained","#
            + r#""since_seconds":75,"in_flight":0,"empty":true},"#
            + r#"{"name":"b","address":"10.0.0.1:8080","backup":true,"state":"ready","in_flight":3}]},"#
            + r#"{"name":"raw","layer":"stream","trino":false,"servers":["#
            + r#"{"name":"c\u000a","address":"10.0.0.1:8080","backup":false,"state":"out","#
            + r#""since_seconds":200000,"why":"refused the connection","in_flight":0}]}]}"#
            + "\n";
        assert_eq!(json(&groups()), expected);
    }

    #[test]
    fn durations_have_two_units() {
        let shown = |seconds| shown_duration(Duration::from_secs(seconds));
        assert_eq!(
            [shown(8), shown(302), shown(3660), shown(273_600)],
            ["8s", "5m 2s", "1h 1m", "3d 4h"]
        );
    }
}
