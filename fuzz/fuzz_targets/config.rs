//! Any text is loaded or refused; a refusal shows places that the text has, in order, and what is
//! loaded is loaded again with the same meaning.
//!
//! That it ends fast is left to `-timeout`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchover::config;

fuzz_target!(|input: &[u8]| {
    match config::parse_text(NAME, input) {
        Ok(loaded) => {
            let [file] = &loaded.files[..] else { panic!("a text cannot include files") };
            assert_eq!(file.text.as_slice(), input);
            for notice in &loaded.notices {
                assert_is_printable(&notice.to_string());
                assert!(!notice.text.contains('\n'), "a notice is one line: {notice}");
            }
            let again = config::parse_text(NAME, &file.text).expect("was loaded before");
            assert_eq!(format!("{:?}", again.config), format!("{:?}", loaded.config));
            assert_eq!(again.notices, loaded.notices);
        }
        Err(error) => {
            let text = error.to_string();
            assert_is_printable(&text);
            let mut last = (0, 0);
            for diagnostic in text.split("\n\n").filter(|part| part.starts_with("error: ")) {
                let place = check_place(diagnostic, input);
                assert!(place >= last, "not in order:\n{text}");
                last = place;
            }
            assert_ne!(last, (0, 0), "no place at all:\n{text}");
        }
    }
});

/// The second line of a diagnostic is the place, which is returned: ` --> NAME:LINE:COLUMN`.
fn check_place(diagnostic: &str, input: &[u8]) -> (usize, usize) {
    let place = diagnostic.lines().nth(1).expect("a diagnostic has more than one line");
    let (_, place) = place.split_once(&format!("--> {NAME}:")).expect("the place names the file");
    let (line, column) = place.split_once(':').expect("a line and a column");
    let line_number: usize = line.parse().expect("the line is a number");
    let column: usize = column.parse().expect("the column is a number");
    let mut lines = input.split(|byte| *byte == b'\n');
    let text = lines
        .nth(line_number.checked_sub(1).expect("lines count from 1"))
        .expect("the line exists");
    // The place may be behind the last character: where something is missing.
    let characters = String::from_utf8_lossy(text).chars().count();
    assert!((1..=characters + 1).contains(&column), "no such column:\n{diagnostic}");
    (line_number, column)
}

fn assert_is_printable(text: &str) {
    let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(text.chars().all(harmless), "a terminal would obey it: {text:?}");
}

const NAME: &str = "fuzz.conf";
