//! Compares errors of two services, or of two Pythons.

/// An error without the parts that differ by version and place of Python: numbers of lines; the
/// directory of `jailed_code`, which Python names from 3.9 on; the marks below a line of a
/// traceback, which 3.13 and later have. Ends of lines are a backslash and an `n` here.
#[must_use]
pub fn comparable(emsg: &str) -> String {
    let marks =
        |line: &&str| line.contains(['^', '~']) && line.trim_matches(['^', '~', ' ']).is_empty();
    let lines = emsg.split("\\n").filter(|line| !marks(line));
    let lines = lines.map(|line| match line.split_once("/jailed_code\"") {
        Some((_, rest)) if line.starts_with("  File \"") => format!("  File \"jailed_code\"{rest}"),
        _ => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\\n");
    let mut parts = text.split(" line ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        out += " line ";
        out += if number > 0 { "NN" } else { "" };
        out += &part[number..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_compared_without_numbers_of_lines_and_marks() {
        let old = r#"T:\n  File "jailed_code", line 7, in <module>\n    exec(code)\n  line up\nError: 12"#;
        let new = r#"T:\n  File "/t/c-1/jailed_code", line 12, in <module>\n    exec(code)\n    ~~~~^^^^^^\n  line up\nError: 12"#;
        let same = r#"T:\n  File "jailed_code", line NN, in <module>\n    exec(code)\n  line up\nError: 12"#;
        assert_eq!(
            (comparable(old), comparable(new)),
            (same.to_owned(), same.to_owned())
        );
    }
}
