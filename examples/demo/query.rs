//! The queries that a stand-in coordinator runs, and their pages in Trino's form.
//!
//! A page depends on the query and the page's number alone, so a page asked for twice is the same.

use std::time::Duration;

/// The error of a coordinator that is starting. The status of its answer is 200.
const STARTING: &str = r#""error":{"message":"Trino server is still initializing","errorCode":65548,"errorName":"SERVER_STARTING_UP","errorType":"INTERNAL_ERROR"},"#;

/// How long a poll of a paced query is held.
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// Lists the coordinator that runs it, and its workers.
pub(crate) const NODES: &str = "select * from system.runtime.nodes";

/// A query.
#[derive(Clone, Copy)]
pub(crate) enum Query {
    /// The nodes of the cluster, at once.
    Nodes,
    /// The multiples of a number, after a time.
    Paced(Paced),
}

/// A query that takes time: as many polls without rows as with rows, one row each.
#[derive(Clone, Copy)]
pub(crate) struct Paced {
    /// The first row. The others are its multiples.
    pub(crate) factor: u64,
    /// Rows in all.
    pub(crate) rows: u64,
}

impl Paced {
    /// The statement.
    pub(crate) fn sql(self) -> String {
        format!("select {} * n from demo.paced limit {}", self.factor, self.rows)
    }

    /// The right result.
    pub(crate) fn result(self) -> Vec<Vec<String>> {
        (1..=self.rows).map(|n| vec![(self.factor * n).to_string()]).collect()
    }

    /// What the page of this number says, before the last one.
    fn content(self, number: u64) -> Content {
        match number.checked_sub(self.rows) {
            None => Content::Running,
            Some(row) => {
                let (column, value) = (column("_col0", "bigint", ""), self.factor * (row + 1));
                Content::Rows(format!(r#""columns":[{column}],"data":[[{value}]],"#))
            }
        }
    }
}

/// What a page says.
pub(crate) enum Content {
    /// The query waits for its turn.
    Queued,
    /// It runs, and has no rows yet.
    Running,
    /// It runs; columns and rows, as JSON.
    Rows(String),
    /// It is at its end, and so are its pages.
    Finished,
    /// It failed, because the coordinator is starting.
    Starting,
}

/// A page of an executing query.
pub(crate) struct Page {
    /// What it says.
    pub(crate) content: Content,
    /// How long the coordinator holds it back.
    pub(crate) hold: Duration,
}

impl Query {
    /// Reads a statement; any that is not known lists the nodes.
    pub(crate) fn parse(sql: &str) -> Query {
        let numbers = sql.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
        let mut numbers = numbers.map(u64::from);
        match (sql.contains("demo.paced"), numbers.next(), numbers.next()) {
            (true, Some(factor), Some(rows)) => Query::Paced(Paced { factor, rows }),
            _ => Query::Nodes,
        }
    }

    /// The page of this number, counted from zero. `nodes` are the rows of `system.runtime.nodes`.
    pub(crate) fn page(self, number: u64, nodes: &[String]) -> Page {
        match self {
            Query::Nodes if number == 0 => {
                Page { content: Content::Rows(nodes_result(nodes)), hold: Duration::ZERO }
            }
            Query::Paced(paced) if number < 2 * paced.rows => {
                Page { content: paced.content(number), hold: PACE }
            }
            Query::Nodes | Query::Paced(_) => {
                Page { content: Content::Finished, hold: Duration::ZERO }
            }
        }
    }
}

/// The columns of `system.runtime.nodes`, and these rows.
fn nodes_result(rows: &[String]) -> String {
    let unbounded = r#"{"kind":"LONG","value":2147483647}"#;
    let columns = [
        column("node_id", "varchar", unbounded),
        column("http_uri", "varchar", unbounded),
        column("node_version", "varchar", unbounded),
        column("coordinator", "boolean", ""),
        column("state", "varchar", unbounded),
    ];
    format!(r#""columns":[{}],"data":[{}],"#, columns.join(","), rows.join(","))
}

/// A column as Trino describes it, for clients that read the type's name and those that read its
/// signature.
fn column(name: &str, kind: &str, arguments: &str) -> String {
    format!(
        r#"{{"name":"{name}","type":"{kind}","typeSignature":{{"rawType":"{kind}","arguments":[{arguments}]}}}}"#
    )
}

/// An answer's JSON. Links lead to `host`, which is how the client reached the coordinator; `next` is
/// the path of the next page below `/v1/statement/`.
pub(crate) fn json(host: &str, id: &str, next: Option<&str>, content: &Content) -> String {
    let link = next.map_or_else(String::new, |path| {
        format!(r#""nextUri":"http://{host}/v1/statement/{path}","#)
    });
    let (state, rows, error) = match content {
        Content::Queued => ("QUEUED", "", ""),
        Content::Running => ("RUNNING", "", ""),
        Content::Rows(rows) => ("RUNNING", rows.as_str(), ""),
        Content::Finished => ("FINISHED", "", ""),
        Content::Starting => ("FAILED", "", STARTING),
    };
    format!(
        r#"{{"id":"{id}","infoUri":"http://{host}/ui/query.html?{id}",{link}{rows}{},{error}"warnings":[]}}"#,
        stats(state)
    )
}

/// A query's progress: nothing but its state changes here.
fn stats(state: &str) -> String {
    let (queued, scheduled) = (state == "QUEUED", state == "RUNNING" || state == "FINISHED");
    format!(
        r#""stats":{{"state":"{state}","queued":{queued},"scheduled":{scheduled},"nodes":0,"totalSplits":0,"queuedSplits":0,"runningSplits":0,"completedSplits":0,"cpuTimeMillis":0,"wallTimeMillis":0,"queuedTimeMillis":0,"elapsedTimeMillis":0,"processedRows":0,"processedBytes":0,"physicalInputBytes":0,"physicalWrittenBytes":0,"peakMemoryBytes":0,"spilledBytes":0}}"#
    )
}
