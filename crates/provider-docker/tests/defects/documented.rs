//! The page that says what is kept names tests; they have to be there.

use std::path::Path;

#[test]
fn every_line_of_the_page_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/kept.md")).unwrap();
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")).collect();
    assert!(rows.len() >= 11, "{} rows", rows.len());
    for row in rows {
        // The last column: `file` `test`.
        let words: Vec<&str> = row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        let [file, test] = words[..] else { panic!("{row}") };
        let source =
            std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
}
