//! Plain tables for people: columns as wide as their widest cell.

/// Lays rows out under their headings.
pub fn render(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        let heading = headings.get(column).map_or(0, |heading| heading.chars().count());
        cells.max().unwrap_or(0).max(heading)
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> = cells
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut headings.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [["cl-node-1", "master"], ["a", "node"]].map(|row| row.map(str::to_owned).to_vec());
        let expected = "NODE       ROLE\ncl-node-1  master\na          node\n";
        assert_eq!(super::render(&["NODE", "ROLE"], &rows), expected);
    }
}
