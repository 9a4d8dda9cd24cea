//! A result as Trino's command line prints it.

use crate::client::Rows;

/// Centred names, a rule, left-aligned cells, and how many rows there were.
pub(crate) fn drawn(result: &Rows) -> String {
    let width = |column: usize| {
        let cells = result.rows.iter().filter_map(|row| row.get(column));
        cells.chain(result.columns.get(column)).map(|cell| cell.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..result.columns.len()).map(width).collect();
    let joined = |cells: Vec<String>, between: &str| cells.join(between).trim_end().to_owned();
    let names = result
        .columns
        .iter()
        .zip(&widths)
        .map(|(name, width)| format!(" {name:^width$} "))
        .collect();
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let mut lines = vec![joined(names, "|"), joined(rule, "+")];
    for row in &result.rows {
        let cells =
            row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
        lines.push(joined(cells, "|"));
    }
    lines.push(format!("({} rows)", result.rows.len()));
    lines.join("\n")
}
