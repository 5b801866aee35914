//! The literals of Python that published tables and `.npy` headers hold: read strictly, never run.

use std::iter::Peekable;
use std::str::Chars;

/// How deep lists may nest.
const MAX_DEPTH: usize = 8;

/// A Python literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// A string.
    Text(String),
    /// A number: the text of it, which is an integer or a decimal.
    Number(String),
    /// `True` or `False`.
    Truth(bool),
    /// A list or a tuple.
    Sequence(Vec<Literal>),
    /// A dictionary with keys of text, in the order of the file, no key twice.
    Dictionary(Vec<(String, Literal)>),
}

impl Literal {
    /// Reads a literal that is the whole text; the error says what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text.chars().peekable() };
        let literal = parser.literal(0)?;
        parser.blanks();
        match parser.rest.next() {
            None => Ok(literal),
            Some(more) => Err(format!("the end, not {more:?}")),
        }
    }

    /// The finite number that this is.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(digits) => digits.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// The non-negative integer that this is.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The list or tuple that this is.
    pub(super) fn sequence(&self) -> Option<&[Self]> {
        match self {
            Self::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The dictionary that this is.
    pub(super) fn dictionary(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Dictionary(entries) => Some(entries),
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.rest.next_if(char::is_ascii_whitespace).is_some() {}
    }

    fn literal(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > MAX_DEPTH {
            return Err(format!("at most {MAX_DEPTH} lists within each other"));
        }
        self.blanks();
        match self.rest.peek() {
            Some('\'' | '"') => Ok(Literal::Text(self.text()?)),
            Some('[') => self.sequence(']', depth),
            Some('(') => self.sequence(')', depth),
            Some('{') => self.dictionary(depth),
            Some('T' | 'F') => self.truth(),
            Some('0'..='9' | '-' | '+' | '.') => self.number(),
            Some(other) => Err(format!("a Python literal, not {other:?}")),
            None => Err("a Python literal, not the end".to_owned()),
        }
    }

    /// What stands between brackets: items, and commas between them (and one more at the end, as Python allows).
    fn items(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.rest.next();
        loop {
            self.blanks();
            if self.rest.next_if_eq(&close).is_some() {
                return Ok(());
            }
            item(self)?;
            self.blanks();
            if self.rest.next_if_eq(&',').is_none() {
                return match self.rest.next() {
                    Some(end) if end == close => Ok(()),
                    Some(other) => Err(format!("',' or {close:?}, not {other:?}")),
                    None => Err(format!("',' or {close:?}, not the end")),
                };
            }
        }
    }

    fn sequence(&mut self, close: char, depth: usize) -> Result<Literal, String> {
        let mut found = Vec::new();
        self.items(close, |parser| {
            found.push(parser.literal(depth + 1)?);
            Ok(())
        })?;
        Ok(Literal::Sequence(found))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Literal, String> {
        let mut found: Vec<(String, Literal)> = Vec::new();
        self.items('}', |parser| {
            if !matches!(parser.rest.peek(), Some('\'' | '"')) {
                return Err("a quoted key".to_owned());
            }
            let key = parser.text()?;
            parser.blanks();
            if parser.rest.next_if_eq(&':').is_none() {
                return Err(format!("':' after the key {key:?}"));
            }
            if found.iter().any(|(known, _)| *known == key) {
                return Err(format!("the key {key:?} once"));
            }
            let value = parser.literal(depth + 1)?;
            found.push((key, value));
            Ok(())
        })?;
        Ok(Literal::Dictionary(found))
    }

    fn text(&mut self) -> Result<String, String> {
        let quote = self.rest.next().unwrap_or('\'');
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some(end) if end == quote => return Ok(text),
                Some('\\') => text.push(self.escaped()?),
                Some(letter) => text.push(letter),
                None => return Err(format!("the closing {quote:?}, not the end")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.rest.next() {
            Some(letter @ ('\\' | '\'' | '"')) => Ok(letter),
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some('x') => self.code_point(2),
            Some('u') => self.code_point(4),
            Some('U') => self.code_point(8),
            other => Err(format!("a known escape after the backslash, not {other:?}")),
        }
    }

    fn code_point(&mut self, digits: usize) -> Result<char, String> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.rest.next().and_then(|digit| digit.to_digit(16));
            code = code * 16 + digit.ok_or_else(|| format!("{digits} hexadecimal digits in the escape"))?;
        }
        char::from_u32(code).ok_or_else(|| format!("a character, not the code {code:x}"))
    }

    fn truth(&mut self) -> Result<Literal, String> {
        let mut word = String::new();
        while let Some(letter) = self.rest.next_if(char::is_ascii_alphabetic) {
            word.push(letter);
        }
        match word.as_str() {
            "True" => Ok(Literal::Truth(true)),
            "False" => Ok(Literal::Truth(false)),
            _ => Err(format!("a Python literal, not {word:?}")),
        }
    }

    fn number(&mut self) -> Result<Literal, String> {
        let mut digits = String::new();
        while let Some(digit) =
            self.rest.next_if(|&c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        {
            digits.push(digit);
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Literal::Number(digits)),
            _ => Err(format!("a number, not {digits:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Literal;

    #[test]
    fn published_forms_are_read() {
        let weights = Literal::parse(r#"{'Eczema': 0.41, "Sjögren's, NOS": .59,}"#);
        let expected = vec![
            ("Eczema".to_owned(), Literal::Number("0.41".to_owned())),
            ("Sjögren's, NOS".to_owned(), Literal::Number(".59".to_owned())),
        ];
        assert_eq!(weights, Ok(Literal::Dictionary(expected)));
        let names = Literal::parse(r"['it\'s', 'a\\b', 'caf\xe9 \u2603']");
        let texts = ["it's", r"a\b", "café ☃"].map(|text| Literal::Text(text.to_owned()));
        assert_eq!(names, Ok(Literal::Sequence(texts.to_vec())));
        assert_eq!(Literal::parse("[]"), Ok(Literal::Sequence(Vec::new())));
        assert_eq!(Literal::parse(" { } "), Ok(Literal::Dictionary(Vec::new())));
        let header = Literal::parse("{'fortran_order': False, 'shape': (7, 1), }");
        let header = header.as_ref().ok().and_then(Literal::dictionary).unwrap_or_default();
        assert_eq!(header[0].1, Literal::Truth(false));
        let shape: Option<Vec<u64>> =
            header[1].1.sequence().map(|sides| sides.iter().filter_map(Literal::count).collect());
        assert_eq!(shape, Some(vec![7, 1]));
    }

    #[test]
    fn anything_else_says_what_was_expected() {
        for (text, expected) in [
            ("", "not the end"),
            ("{'a': 0.5", "',' or '}', not the end"),
            ("{'a' 0.5}", "':' after the key \"a\""),
            ("{'a': 1, 'a': 2}", "the key \"a\" once"),
            ("{1: 2}", "a quoted key"),
            ("['a' 'b']", "',' or ']'"),
            ("['a]", "the closing '\\''"),
            ("['\\q']", "a known escape"),
            ("['\\x4']", "2 hexadecimal digits"),
            ("['\\ud800']", "a character"),
            ("[1] 2", "the end, not '2'"),
            ("[1e999]", "a number"),
            ("[nan]", "a Python literal"),
            ("[None]", "a Python literal"),
            ("[Trueish]", "a Python literal"),
            ("__import__('os')", "a Python literal"),
            ("[[[[[[[[[[1]]]]]]]]]]", "lists within each other"),
        ] {
            let message = Literal::parse(text).err();
            let fits = message.as_ref().is_some_and(|message| message.contains(expected));
            assert!(fits, "{text}: {message:?}");
        }
    }
}
