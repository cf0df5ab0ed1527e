//! Go's `Sprintf`, as far as templates use it.

use super::value::{Value, json_text};
use crate::units::general;

/// Formats `args` by Go's verbs: `%s %v %d %q %t %x %f %g %c %%` with flags, width and precision.
pub(crate) fn format(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut next = 0;
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        let spec_length = rest.find(|c: char| !"+-# 0123456789.*".contains(c));
        let Some(length) = spec_length else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        let spec = Spec::parse(&rest[..length], args, &mut next);
        let verb = rest[length..].chars().next().unwrap_or('%');
        rest = &rest[length + verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match args.get(next) {
            Some(value) => out.push_str(&spec.render(verb, value)),
            None => out += &format!("%!{verb}(MISSING)"),
        }
        next += 1;
    }
    out.push_str(rest);
    if next < args.len() {
        let extra: Vec<String> = args[next..]
            .iter()
            .map(|value| format!("{}={value}", value.type_name()))
            .collect();
        out += &format!("%!(EXTRA {})", extra.join(", "));
    }
    out
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn parse(text: &str, args: &[Value], next: &mut usize) -> Self {
        let mut spec = Self::default();
        let flags = text.find(|c| !"+-# 0".contains(c)).unwrap_or(text.len());
        for flag in text[..flags].chars() {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                '#' => spec.sharp = true,
                _ => {}
            }
        }
        let mut number = |text: &str| {
            if text == "*" {
                let value = args.get(*next).map(ToString::to_string).unwrap_or_default();
                *next += 1;
                return value.parse().ok();
            }
            text.parse().ok()
        };
        let (width, precision) = match text[flags..].split_once('.') {
            Some((width, precision)) => (width, Some(precision)),
            None => (&text[flags..], None),
        };
        spec.width = number(width).unwrap_or(0);
        spec.precision = precision.map(|text| number(text).unwrap_or(0));
        spec
    }

    fn render(&self, verb: char, value: &Value) -> String {
        let text = match (verb, value) {
            ('s' | 'v', value) => {
                let text = value.to_string();
                match self.precision {
                    Some(most) if verb == 's' => text.chars().take(most).collect(),
                    _ => text,
                }
            }
            ('d', Value::Int(number)) if self.plus => format!("{number:+}"),
            ('d', Value::Int(number)) => number.to_string(),
            ('q', Value::Text(_)) => json_text(value),
            ('t', Value::Bool(value)) => value.to_string(),
            ('x', Value::Int(number)) => format!("{number:x}"),
            ('X', Value::Int(number)) => format!("{number:X}"),
            ('o', Value::Int(number)) => format!("{number:o}"),
            ('b', Value::Int(number)) => format!("{number:b}"),
            ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('c', Value::Int(number)) => u32::try_from(*number)
                .ok()
                .and_then(char::from_u32)
                .map_or_else(String::new, String::from),
            ('f' | 'F', Value::Float(number)) => {
                format!("{number:.*}", self.precision.unwrap_or(6))
            }
            ('g', Value::Float(number)) => match self.precision {
                Some(digits) => general(*number, digits),
                None => value.to_string(),
            },
            ('e', Value::Float(number)) => format!("{number:.*e}", self.precision.unwrap_or(6)),
            ('T', value) => value.type_name(),
            (_, value) => format!("%!{verb}({}={value})", value.type_name()),
        };
        self.pad(text)
    }

    fn pad(&self, text: String) -> String {
        let gap = self.width.saturating_sub(text.chars().count());
        if gap == 0 {
            return text;
        }
        if self.left {
            return text + &" ".repeat(gap);
        }
        if self.zero {
            let digits = text.strip_prefix(['-', '+']);
            let sign = &text[..text.len() - digits.unwrap_or(&text).len()];
            return format!("{sign}{}{}", "0".repeat(gap), digits.unwrap_or(&text));
        }
        " ".repeat(gap) + &text
    }
}
