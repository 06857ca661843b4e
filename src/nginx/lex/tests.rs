//! How an nginx file is cut into words, each case as Debian's nginx cuts it.
//!
//! `tests/nginx_syntax.rs` compares many more with the real one.

use proptest::prelude::*;

use super::*;

fn tokens(text: &str) -> Result<Vec<Token>, LexFault> {
    let mut lexer = Lexer::new(text.as_bytes(), 0, true);
    let mut found = Vec::new();
    loop {
        match lexer.next()? {
            Token::End => return Ok(found),
            token => found.push(token),
        }
    }
}

/// Each token as its words and its end: `a|b;`, `a{`, `}`.
fn shape(text: &str) -> String {
    let join = |words: &[Word]| {
        let words: Vec<_> = words.iter().map(Word::text).collect();
        words.join("|")
    };
    match tokens(text) {
        Ok(tokens) => tokens
            .iter()
            .map(|token| match token {
                Token::Statement(words) => format!("{};", join(words)),
                Token::Open(words) => format!("{}{{", join(words)),
                Token::Close => "}".to_owned(),
                Token::End => String::new(),
            })
            .collect(),
        Err(fault) => format!("{}:{}", fault.line, fault.text),
    }
}

#[test]
fn words_end_at_white_space_semicolons_and_braces() {
    assert_eq!(shape("a b\tc\r\n d; e{f;}"), "a|b|c|d;e{f;}");
    assert_eq!(shape("a}b;"), "a}b;");
    assert_eq!(shape("a b#c;"), "a|b#c;");
    assert_eq!(shape("# a;\nb;#c"), "b;");
}

#[test]
fn quotes_hold_white_space_and_the_other_quote() {
    assert_eq!(shape("a \"b c\" 'd;\"{';"), "a|b c|d;\"{;");
    assert_eq!(shape("a ''; b \"\";"), "a|;b|;");
    assert_eq!(shape("a b'c d';"), "a|b'c|d';");
}

#[test]
fn escapes_are_undone_and_unknown_ones_stay() {
    assert_eq!(shape(r#"a "b\"c\\d\t\.";"#), "a|b\"c\\d\t\\.;");
    assert_eq!(shape(r"a b\ c\;d;"), r"a|b\ c\;d;");
    assert_eq!(shape(r"a \{;"), r"a|\{;");
}

#[test]
fn a_brace_after_a_dollar_belongs_to_the_word() {
    assert_eq!(shape("a ${b}c;"), "a|${b}c;");
    assert_eq!(shape("a $b{"), "a|$b{");
}

#[test]
fn what_follows_a_quoted_word_is_white_space_or_an_end() {
    assert_eq!(shape("a \"b\"c;"), "1:unexpected \"c\"");
    assert_eq!(shape("a\n'b'$c;"), "2:unexpected \"$\"");
}

#[test]
fn a_bracket_may_follow_a_quoted_word() {
    assert_eq!(shape("if ($a = \"b\") {"), "if|($a|=|b|){");
}

#[test]
fn ends_that_come_too_early_are_told_with_the_last_line() {
    let missing = "unexpected end of file, expecting \";\" or \"}\"";
    assert_eq!(shape("a\nb"), format!("2:{missing}"));
    assert_eq!(shape("a \"b;\n\n"), format!("3:{missing}"));
    assert_eq!(shape("\n;"), "2:unexpected \";\"");
    assert_eq!(shape("a }"), "1:unexpected \"}\"");
    assert_eq!(shape("\n{"), "2:unexpected \"{\"");
}

#[test]
fn a_word_that_fills_the_window_is_refused_where_it_began() {
    let word = "x".repeat(4096);
    let started = "too long parameter \"xxxxxxxxxx...\" started";
    assert_eq!(shape(&format!("\na {word};")), format!("2:{started}"));
    assert_eq!(
        shape(&format!("a {};", &word[1..])),
        format!("a|{};", &word[1..])
    );
    let quoted = shape(&format!("a\n\"{word}\n\";"));
    assert_eq!(
        quoted,
        "2:too long parameter, probably missing terminating \"\"\" character"
    );
}

#[test]
fn places_are_lines_and_characters() {
    let Ok(Token::Statement(words)) = Lexer::new("\n ä \"b\";".as_bytes(), 3, true).next() else {
        panic!("a statement");
    };
    let places: Vec<_> = words.iter().map(|word| word.place).collect();
    let at = |column| Place {
        file: 3,
        line: 2,
        column,
    };
    assert_eq!(places, [at(2), at(4)]);
}

#[test]
fn directives_of_a_command_line_need_their_end() {
    let mut lexer = Lexer::new(b"daemon off", 0, false);
    let fault = lexer.next().unwrap_err();
    assert_eq!(fault.text, "unexpected end of parameter, expecting \";\"");
}

#[test]
fn lua_is_skipped_whole_and_lines_are_counted() {
    let mut lexer = Lexer::new(b"x_by_lua_block {\n a = '}'\n}\nb;", 0, true);
    assert!(matches!(lexer.next(), Ok(Token::Open(_))));
    assert_eq!(lexer.skip_lua().unwrap(), b"\n a = '}'\n");
    let Ok(Token::Statement(words)) = lexer.next() else {
        panic!("a statement");
    };
    assert_eq!(words[0].place.line, 4);
}

proptest! {
    #[test]
    fn any_bytes_come_to_an_end(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut lexer = Lexer::new(&text, 0, true);
        for _ in 0..=text.len() {
            match lexer.next() {
                Ok(Token::End) | Err(_) => return Ok(()),
                Ok(_) => {}
            }
        }
        prop_assert!(false, "more tokens than bytes");
    }

    #[test]
    fn quoted_words_come_back_as_they_were(words in prop::collection::vec("[a-z \"'\\\\;{}$#\n]{1,12}", 1..5)) {
        let quote = |word: &String| {
            format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
        };
        let text = words.iter().map(quote).collect::<Vec<_>>().join(" ") + ";";
        let Ok(Token::Statement(found)) = Lexer::new(text.as_bytes(), 0, true).next() else {
            return Err(TestCaseError::fail("no statement"));
        };
        let found: Vec<String> = found.iter().map(|word| word.text().into_owned()).collect();
        prop_assert_eq!(found, words);
    }
}
