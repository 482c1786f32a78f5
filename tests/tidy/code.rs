//! Rust source as lines of code: comments and test modules taken out, line numbers kept. Text level, no parser: it
//! knows strings well enough not to take `"http://…"` for a comment.

/// Line number (from 1) and code of every line that has any. With `tests`, test modules are kept.
pub(crate) fn lines(source: &str, tests: bool) -> Vec<(usize, String)> {
    let mut kept = Vec::new();
    let mut in_tests = false;
    let mut block_comment = false;
    let mut previous = "";
    for (index, line) in source.lines().enumerate() {
        let trimmed = line.trim();
        if !tests && !in_tests && previous.starts_with("#[cfg(test)]") && opens_module(trimmed) {
            in_tests = true;
        }
        if !trimmed.is_empty() {
            previous = trimmed;
        }
        if in_tests {
            in_tests = line != "}";
            continue;
        }
        let code = without_comments(line, &mut block_comment);
        if !code.trim().is_empty() {
            kept.push((index + 1, code));
        }
    }
    kept
}

fn opens_module(line: &str) -> bool {
    line.split_whitespace().any(|word| word == "mod") && line.ends_with('{')
}

fn without_comments(line: &str, block: &mut bool) -> String {
    let mut kept = String::new();
    let mut string = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if *block {
            if c == '*' && chars.next_if_eq(&'/').is_some() {
                *block = false;
            }
        } else if string {
            kept.push(c);
            match c {
                '\\' => kept.extend(chars.next()),
                '"' => string = false,
                _ => {}
            }
        } else if c == '/' && chars.peek() == Some(&'/') {
            break;
        } else if c == '/' && chars.next_if_eq(&'*').is_some() {
            *block = true;
        } else {
            // `'"'` is a character, not the start of a string.
            string = c == '"' && !kept.ends_with('\'');
            kept.push(c);
        }
    }
    kept
}

/// Does `word` stand in `text` with no letter, digit or `_` beside it?
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next()))
}

/// The words of a line in lower case, identifiers taken apart: `AcmeRate` and `acme_rate` are `acme`, `rate`.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_lower = false;
    for c in line.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && previous_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        previous_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn comments_and_test_modules_are_taken_out() {
    let source = "let a = \"http://x\"; // http\n/* one\ntwo */ let b = '\"'; // c\n#[cfg(test)]\nmod tests {\n    bad();\n}\nlet d;\n";
    let found = lines(source, false);
    let code: Vec<(usize, &str)> = found.iter().map(|(n, code)| (*n, code.trim())).collect();
    assert_eq!(code, [(1, "let a = \"http://x\";"), (3, "let b = '\"';"), (4, "#[cfg(test)]"), (8, "let d;")]);
    assert!(lines(source, true).iter().any(|(_, code)| code.contains("bad()")));
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("use sqlx::query;", "sqlx") && !has_word("my_sqlx", "sqlx"));
    assert_eq!(words("fn AcmeRate_groups(x2)"), ["fn", "acme", "rate", "groups", "x2"]);
}
