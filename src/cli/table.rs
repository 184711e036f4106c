//! Aligned columns.

/// Rows of cells as lines, each column as wide as its widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A number of bytes for people, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut whole, mut rest, mut unit) = (count / 1000, count % 1000, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        (rest, whole, unit) = (whole % 1000, whole / 1000, unit + 1);
    }
    format!("{whole}.{} {}", rest / 100, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_bytes_are_short() {
        let rows = [vec!["a".into(), "long".into(), "x".into()], vec!["größe".into(), "s".into()]];
        assert_eq!(table(&rows), "a      long  x\ngröße  s\n");
        for (count, text) in
            [(0, "0 B"), (999, "999 B"), (1_250, "1.2 kB"), (3_400_000, "3.4 MB"), (u64::MAX, "18446.7 PB")]
        {
            assert_eq!(bytes(count), text);
        }
    }
}
