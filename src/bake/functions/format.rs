//! `format`, with the verbs of HCL.
//!
//! Source: go-cty, `cty/function/stdlib/format.go`.

use std::str::Chars;

use super::{
    super::value::Value,
    arguments::{at_least, whole},
};

/// The longest text that a function makes, in bytes.
pub(super) const LONGEST: usize = 4 << 20;
/// The widest field.
const WIDEST: usize = 4096;

pub(super) fn format(values: &[Value]) -> Result<Value, String> {
    let values = at_least(1, values)?;
    formatted(&values[0].text()?, &values[1..]).map(Value::Text)
}

pub(super) fn formatlist(values: &[Value]) -> Result<Value, String> {
    let values = at_least(1, values)?;
    let (pattern, rest) = (values[0].text()?, &values[1..]);
    let lengths: Vec<usize> = rest.iter().filter_map(|value| value.list().ok().map(<[Value]>::len)).collect();
    let rounds = lengths.first().copied().unwrap_or(1);
    if lengths.iter().any(|length| *length != rounds) {
        return Err("the lists are not of the same length".into());
    }
    let round = |number: usize| {
        let one = |value: &Value| match value {
            Value::List(list) => list.get(number).cloned().unwrap_or(Value::Null),
            other => other.clone(),
        };
        formatted(&pattern, &rest.iter().map(one).collect::<Vec<_>>())
    };
    let (mut texts, mut length) = (Vec::with_capacity(rounds), 0);
    for number in 0..rounds {
        let text = round(number)?;
        length += text.len();
        if length > LONGEST {
            return Err("the result is too long".into());
        }
        texts.push(text);
    }
    Ok(Value::texts(texts))
}

/// How one value is written.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a verb are booleans")]
struct Verb {
    left: bool,
    zeros: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

fn formatted(pattern: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let (verb, letter) = read_verb(&mut letters)?;
        if letter == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or("there are more verbs than values")?;
        out.push_str(&verb.write(letter, value)?);
        if out.len() > LONGEST {
            return Err("the result is too long".into());
        }
    }
    if values.next().is_some() { Err("there are more values than verbs".into()) } else { Ok(out) }
}

fn read_verb(letters: &mut Chars<'_>) -> Result<(Verb, char), String> {
    let mut verb = Verb::default();
    let mut next = || letters.next().ok_or("the string ends within a verb");
    let mut letter = next()?;
    loop {
        match letter {
            '-' => verb.left = true,
            '0' => verb.zeros = true,
            '+' => verb.plus = true,
            ' ' => verb.space = true,
            '#' => verb.sharp = true,
            _ => break,
        }
        letter = next()?;
    }
    while let Some(digit) = letter.to_digit(10) {
        verb.width = Some(wider(verb.width, digit)?);
        letter = next()?;
    }
    if letter == '.' {
        verb.precision = Some(0);
        letter = next()?;
        while let Some(digit) = letter.to_digit(10) {
            verb.precision = Some(wider(verb.precision, digit)?);
            letter = next()?;
        }
    }
    Ok((verb, letter))
}

fn wider(width: Option<usize>, digit: u32) -> Result<usize, String> {
    let width = width.unwrap_or_default() * 10 + digit as usize;
    if width > WIDEST { Err(format!("a field is at most {WIDEST} wide")) } else { Ok(width) }
}

impl Verb {
    fn write(&self, letter: char, value: &Value) -> Result<String, String> {
        let text = match letter {
            's' => self.cut(value.text()?),
            'q' => serde_json::Value::from(self.cut(value.text()?)).to_string(),
            'v' => match value {
                Value::Text(text) if !self.sharp => text.clone(),
                Value::Number(_) | Value::Bool(_) if !self.sharp => value.text()?,
                other => other.to_json().to_string(),
            },
            't' => value.bool()?.to_string(),
            'd' => self.signed(whole(value)?.to_string()),
            'x' => self.signed(based(whole(value)?, |number| format!("{number:x}"))),
            'X' => self.signed(based(whole(value)?, |number| format!("{number:X}"))),
            'o' => self.signed(based(whole(value)?, |number| format!("{number:o}"))),
            'b' => self.signed(based(whole(value)?, |number| format!("{number:b}"))),
            'f' | 'F' => self.signed(format!("{:.*}", self.precision.unwrap_or(6), value.number()?)),
            'e' | 'E' => self.signed(scientific(value.number()?, self.precision.unwrap_or(6), letter)),
            'g' | 'G' => self.signed(value.number()?.to_string()),
            other => return Err(format!("%{other} is not supported (s q v t d x X o b f e g)")),
        };
        Ok(self.padded(text, "dxXobfFeEgG".contains(letter)))
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        }
    }

    fn signed(&self, text: String) -> String {
        match (text.starts_with('-'), self.plus, self.space) {
            (false, true, _) => format!("+{text}"),
            (false, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    fn padded(&self, text: String, is_number: bool) -> String {
        let missing = self.width.unwrap_or_default().saturating_sub(text.chars().count());
        if self.left {
            return text + &" ".repeat(missing);
        }
        if self.zeros && is_number {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+', ' '])));
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        " ".repeat(missing) + &text
    }
}

fn based(number: i64, write: fn(u64) -> String) -> String {
    format!("{}{}", if number < 0 { "-" } else { "" }, write(number.unsigned_abs()))
}

/// A number with an exponent of two digits at least, as Go writes it.
fn scientific(number: f64, precision: usize, letter: char) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}{letter}{sign}{exponent:0>2}")
}
