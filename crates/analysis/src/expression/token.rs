use super::Mistake;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Name(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 15] = [
    "**", "<=", ">=", "==", "<", ">", "+", "-", "*", "/", "^", "(", ")", ",", ".",
];

/// Tokens with the number of characters before each.
pub(super) fn tokens(formula: &str) -> Result<Vec<(usize, Token)>, Mistake> {
    let chars: Vec<char> = formula.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let (token, length) = match chars[at] {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            c if c.is_ascii_digit() => number(&chars, at)?,
            '.' if chars.get(at + 1).is_some_and(char::is_ascii_digit) => number(&chars, at)?,
            c if c.is_alphabetic() || c == '_' => name(&chars, at),
            c => symbol(&chars, at).ok_or_else(|| Mistake {
                at,
                message: format!("unexpected `{c}`"),
            })?,
        };
        out.push((at, token));
        at += length;
    }
    Ok(out)
}

/// Digits, a point, an exponent.
fn number(chars: &[char], at: usize) -> Result<(Token, usize), Mistake> {
    let mut end = at;
    while let Some(c) = chars.get(end) {
        let sign_of_exponent = matches!(c, '+' | '-') && matches!(chars[end - 1], 'e' | 'E');
        if !(c.is_ascii_alphanumeric() || *c == '.' || (end > at && sign_of_exponent)) {
            break;
        }
        end += 1;
    }
    let text: String = chars[at..end].iter().collect();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Token::Number(value), end - at)),
        _ => Err(Mistake {
            at,
            message: format!("`{text}` is not a number"),
        }),
    }
}

fn name(chars: &[char], at: usize) -> (Token, usize) {
    let good = |c: &char| c.is_alphanumeric() || *c == '_';
    let text: String = chars[at..].iter().take_while(|c| good(c)).collect();
    let length = text.chars().count();
    (Token::Name(text), length)
}

fn symbol(chars: &[char], at: usize) -> Option<(Token, usize)> {
    let next: String = chars[at..].iter().take(2).collect();
    let found = SYMBOLS.into_iter().find(|s| next.starts_with(s))?;
    let token = if found == "**" { "^" } else { found };
    Some((Token::Symbol(token), found.len()))
}
