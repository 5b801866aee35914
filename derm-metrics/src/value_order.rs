//! The order of the values of a subgroup column.

use std::cmp::Ordering;

/// A piece of a value: a decimal number, or what stands between numbers.
enum Piece<'a> {
    Number(f64),
    Text(&'a str),
}

/// Orders texts so that numbers in them count by size: "[5, 10)" before "[10, 20)", "site 2" before "site 10".
/// Texts that are equal so far ("1" and "01") go by their characters, so that different texts are never equal.
pub(crate) fn value_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let order = match (next_piece(&mut rest_a), next_piece(&mut rest_b)) {
            (Piece::Number(a), Piece::Number(b)) => a.total_cmp(&b),
            (Piece::Text(a), Piece::Text(b)) => a.cmp(b),
            (Piece::Number(_), Piece::Text(_)) => Ordering::Less,
            (Piece::Text(_), Piece::Number(_)) => Ordering::Greater,
        };
        if order.is_ne() {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Takes the first piece off a text that is not empty.
fn next_piece<'a>(rest: &mut &'a str) -> Piece<'a> {
    let text = *rest;
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    if whole == 0 {
        let end = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (piece, after) = text.split_at(end);
        *rest = after;
        return Piece::Text(piece);
    }
    let fraction = text[whole..].strip_prefix('.').map_or(0, digits);
    let end = if fraction > 0 { whole + 1 + fraction } else { whole };
    let (piece, after) = text.split_at(end);
    *rest = after;
    // Digits with at most one point always are a number.
    piece.parse().map_or(Piece::Text(piece), Piece::Number)
}
