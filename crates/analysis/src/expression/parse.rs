use super::Mistake;
use super::token::{Token, tokens};

/// A formula as a tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Number(f64),
    /// A name with its qualifiers, such as `text.alpha`.
    Name(Vec<String>, usize),
    Call(Vec<String>, Vec<Expr>, usize),
    Negative(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

/// Formulas nested deeper than this are refused, so that no tree exhausts the stack.
const DEEPEST: usize = 64;

/// Reads a whole formula.
pub(crate) fn parse(formula: &str) -> Result<Expr, Mistake> {
    let mut parser = Parser {
        tokens: tokens(formula)?,
        next: 0,
        end: formula.chars().count(),
        depth: 0,
    };
    let expr = parser.comparison()?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.mistake("expected an operator")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn mistake(&self, message: &str) -> Mistake {
        Mistake {
            at: self.at(),
            message: message.to_owned(),
        }
    }

    /// Takes the next token if it is one of `symbols`.
    fn take(&mut self, symbols: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Symbol(found)) if symbols.contains(found) => {
                let found = *found;
                self.next += 1;
                Some(found)
            }
            _ => None,
        }
    }

    fn comparison(&mut self) -> Result<Expr, Mistake> {
        let left = self.sum()?;
        let Some(symbol) = self.take(&["<", "<=", ">", ">=", "=="]) else {
            return Ok(left);
        };
        let operator = match symbol {
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            _ => Operator::Equal,
        };
        Ok(binary(operator, left, self.sum()?))
    }

    fn sum(&mut self) -> Result<Expr, Mistake> {
        let mut left = self.product()?;
        while let Some(symbol) = self.take(&["+", "-"]) {
            let operator = if symbol == "+" {
                Operator::Add
            } else {
                Operator::Subtract
            };
            left = binary(operator, left, self.product()?);
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expr, Mistake> {
        let mut left = self.signed()?;
        while let Some(symbol) = self.take(&["*", "/"]) {
            let operator = if symbol == "*" {
                Operator::Multiply
            } else {
                Operator::Divide
            };
            left = binary(operator, left, self.signed()?);
        }
        Ok(left)
    }

    /// `-x^2` is -(x^2); `x^-y` is x^(-y).
    fn signed(&mut self) -> Result<Expr, Mistake> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.mistake("nested too deeply"));
        }
        let expr = if self.take(&["-"]).is_some() {
            Expr::Negative(Box::new(self.signed()?))
        } else {
            let base = self.atom()?;
            match self.take(&["^"]) {
                Some(_) => binary(Operator::Power, base, self.signed()?),
                None => base,
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn atom(&mut self) -> Result<Expr, Mistake> {
        let at = self.at();
        match self.peek().cloned() {
            Some(Token::Number(value)) => {
                self.next += 1;
                Ok(Expr::Number(value))
            }
            Some(Token::Name(name)) => {
                self.next += 1;
                self.named(name, at)
            }
            Some(Token::Symbol("(")) => {
                self.next += 1;
                let inner = self.comparison()?;
                self.close()?;
                Ok(inner)
            }
            _ => Err(self.mistake("expected a number, a name or `(`")),
        }
    }

    /// The rest of a dotted name, and its arguments if it is called.
    fn named(&mut self, first: String, at: usize) -> Result<Expr, Mistake> {
        let mut path = vec![first];
        while self.take(&["."]).is_some() {
            match self.peek().cloned() {
                Some(Token::Name(name)) => path.push(name),
                _ => return Err(self.mistake("expected a name after `.`")),
            }
            self.next += 1;
        }
        if self.take(&["("]).is_none() {
            return Ok(Expr::Name(path, at));
        }
        let mut arguments = vec![self.comparison()?];
        while self.take(&[","]).is_some() {
            arguments.push(self.comparison()?);
        }
        self.close()?;
        Ok(Expr::Call(path, arguments, at))
    }

    fn close(&mut self) -> Result<(), Mistake> {
        match self.take(&[")"]) {
            Some(_) => Ok(()),
            None => Err(self.mistake("expected `)`")),
        }
    }
}

fn binary(operator: Operator, left: Expr, right: Expr) -> Expr {
    Expr::Binary(operator, Box::new(left), Box::new(right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(formula: &str) -> String {
        parse(formula).expect_err("a mistake").show(formula)
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        let same = |a: &str, b: &str| assert_eq!(parse(a), parse(b), "{a} and {b}");
        same("1 + 2 * 3 ^ 4", "1 + (2 * (3 ^ 4))");
        same("1 - 2 - 3", "(1 - 2) - 3");
        same("-1 ^ 2", "-(1 ^ 2)");
        same("2 ** -1 ** 2", "2 ^ (-(1 ^ 2))");
        same("8 / 4 / 2 < 1", "((8 / 4) / 2) < 1");
        assert_eq!(parse(".5e-3"), Ok(Expr::Number(0.0005)));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let said = [
            "a +",
            "a b",
            "(a",
            "1.2.3",
            "a ? b",
            "f(",
            "f(a,)",
            "x.",
            "x.1",
            "",
            "1e999",
            "a < b < c",
        ]
        .map(wrong);
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn deep_formulas_are_refused_not_overflown() {
        for deep in ["(", "-", "2^"] {
            let formula = deep.repeat(100_000);
            assert_eq!(
                parse(&formula).expect_err("deep").message,
                "nested too deeply"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-zP0-9.^*/+()<>=,eE αβ-]{0,30}") {
            if let Err(mistake) = parse(&text) {
                prop_assert!(mistake.at <= text.chars().count());
                prop_assert!(mistake.show(&text).contains(&mistake.message));
            }
        }
    }
}
