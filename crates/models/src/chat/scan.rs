//! A template's source before it is parsed: bounds on it, and the rewritings that it needs.
//!
//! minijinja counts steps and the bytes of texts, but one step on nested lists (printing, joining, comparing
//! them) can do any amount of work: `x = [x, x]` sixty times holds 2^60 items, `[1] * 10**9` a billion, and
//! `ns.x = ns` never ends. So whatever gets a name goes through a filter that measures it all through:
//!
//! - `set`, `for` and macro parameters: the value goes through [`MEASURED`];
//! - `set ns.x`: through [`PLAIN`], which also copies it, so that no value can hold itself;
//! - `with`, calls with parameters, and products without a text (lists are repeated so) are refused: chat
//!   templates do without them.
//!
//! Moreover `{% generation %} … {% endgeneration %}`, with which a template marks what the assistant says, is
//! not Jinja; it becomes a call block.

use super::tag::{Tag, basic_tag};

/// The function that a `{% generation %}` block becomes a call of.
pub(super) const GENERATION: &str = "offshoot_generation";
/// The filter that measures what gets a name.
pub(super) const MEASURED: &str = "offshoot_measured";
/// The filter that measures and copies what is kept in a namespace.
pub(super) const PLAIN: &str = "offshoot_plain";

/// The largest source. The longest real ones are a tenth of this.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// The most code, texts and comments apart: it bounds how deep the parser and a value can go.
pub(super) const MOST_CODE: usize = 1 << 16;
/// The most code in one tag: one expression can join so many named values, and the compiler's work grows with
/// its square.
pub(super) const MOST_CODE_IN_TAG: usize = 1 << 11;
/// The longest texts in one tag.
const MOST_TEXT_IN_TAG: usize = 1 << 16;
/// The most assignments to a namespace.
const MOST_KEPT: usize = 256;

/// A source that minijinja can parse and run in bounded stack, time and memory.
pub(super) struct Scanned {
    pub(super) source: String,
    /// Whether there is a `{% generation %}` block.
    pub(super) has_marks: bool,
}

/// Checks and rewrites a template's source.
pub(super) fn scan(source: &str) -> Result<Scanned, String> {
    if source.len() > MOST_BYTES {
        return Err(format!("larger than {MOST_BYTES} bytes; is it a chat template?"));
    }
    // Python reads a text file with any line end as `\n`.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let out = String::with_capacity(source.len() * 2);
    let mut scanner = Scanner { rest: &source, out, code: 0, kept: 0, has_marks: false };
    while scanner.step()? {}
    Ok(Scanned { source: scanner.out, has_marks: scanner.has_marks })
}

struct Scanner<'a> {
    rest: &'a str,
    out: String,
    code: usize,
    kept: usize,
    has_marks: bool,
}

impl<'a> Scanner<'a> {
    /// Copies up to and including the next tag; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        let marker = |pair: &[u8]| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#');
        let Some(start) = self.rest.as_bytes().windows(2).position(marker) else {
            self.copy(self.rest.len());
            return Ok(false);
        };
        self.copy(start);
        match &self.rest[..2] {
            "{#" => self.copy(self.rest[2..].find("#}").map_or(self.rest.len(), |at| at + 4)),
            "{%" if let Some(length) = basic_tag(&self.rest[2..], "raw") => self.raw(length + 2),
            marker => self.tag(marker == "{%")?,
        }
        Ok(!self.rest.is_empty())
    }

    fn copy(&mut self, length: usize) {
        let (head, tail) = self.rest.split_at(length);
        self.out.push_str(head);
        self.rest = tail;
    }

    /// Copies a raw block, whose first tag has the given length.
    fn raw(&mut self, first: usize) {
        let mut at = first;
        while let Some(found) = self.rest[at..].find("{%") {
            at += found + 2;
            if let Some(length) = basic_tag(&self.rest[at..], "endraw") {
                return self.copy(at + length);
            }
        }
        self.copy(self.rest.len());
    }

    /// Copies a tag, rewritten where need be.
    fn tag(&mut self, block: bool) -> Result<(), String> {
        let tag = Tag::read(self.rest, block);
        self.code += tag.code;
        if tag.code > MOST_CODE_IN_TAG || tag.texts > MOST_TEXT_IN_TAG || self.code > MOST_CODE {
            return Err("more code, or longer texts in a tag, than any real template has".to_owned());
        }
        let rest: &'a str = self.rest;
        let at =
            |reason: &str| format!("{reason}: `{}`", rest[..tag.length].chars().take(80).collect::<String>());
        if tag.repeats_lists {
            return Err(at("a product needs a text on one side, as in `' ' * 4`"));
        }
        let written = if block { statement(rest, &tag).map_err(at)? } else { Written::Same };
        let close = &rest[tag.end..tag.length];
        match written {
            Written::Same => self.out.push_str(&rest[..tag.length]),
            Written::As(code) => {
                self.has_marks |= code.contains(GENERATION);
                self.kept += usize::from(code.contains(PLAIN));
                [&rest[..tag.start], &code, close].into_iter().for_each(|part| self.out.push_str(part));
            }
            // With the same end, what follows is trimmed just as it was.
            Written::Then(names) => {
                self.out.push_str(&rest[..tag.length]);
                let set = |name: &str| format!("{{% set {name} = {name} | {MEASURED} {close}");
                names.into_iter().for_each(|name| self.out.push_str(&set(name)));
            }
        }
        if self.kept > MOST_KEPT {
            return Err(format!("more than {MOST_KEPT} assignments to a namespace"));
        }
        self.rest = &self.rest[tag.length..];
        Ok(())
    }
}

/// A tag as it is passed on.
enum Written<'a> {
    Same,
    /// With other code between its markers.
    As(String),
    /// As it is, then these names are measured.
    Then(Vec<&'a str>),
}

/// A statement, at the start of `rest`, as it is passed on.
fn statement<'a>(rest: &'a str, tag: &Tag) -> Result<Written<'a>, &'static str> {
    let code = &rest[tag.start..tag.end];
    let word = code.trim_ascii_start();
    let length = word.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(word.len());
    let (word, tail) = word.split_at(length);
    Ok(match (word, tail.trim_ascii()) {
        ("generation", "") => Written::As(format!(" call {GENERATION}() ")),
        ("endgeneration", "") => Written::As(" endcall ".to_owned()),
        ("set", _) => {
            let (target, value) =
                tag.assign.map_or((code, None), |at| (&rest[tag.start..at], Some(&rest[at + 1..tag.end])));
            let filter = if target.contains('.') { PLAIN } else { MEASURED };
            Written::As(match value {
                Some(value) => format!("{target}= ({value}) | {filter} "),
                None => format!("{code} | {filter} "),
            })
        }
        ("for", tail) => Written::Then(names(tail).take_while(|name| *name != "in").collect()),
        ("macro", tail) => Written::Then(parameters(tail)),
        ("call", tail) if tail.starts_with('(') => return Err("calls with parameters are not supported"),
        ("with", _) => return Err("`with` is not supported; use `set`"),
        _ => Written::Same,
    })
}

/// The words of some code, texts included, which no harm comes from.
fn names(code: &str) -> impl Iterator<Item = &str> {
    code.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|name| !name.is_empty())
}

/// A macro's parameters: the names before a `,`, a `=` or the end, outside of inner brackets.
fn parameters(code: &str) -> Vec<&str> {
    let Some((_, list)) = code.split_once('(') else { return Vec::new() };
    let (mut found, mut depth, mut named, mut from) = (Vec::new(), 0_usize, false, 0);
    let mut quote = None;
    for (at, char) in list.char_indices() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') if depth > 0 => depth -= 1,
            (None, ')' | ',' | '=') if depth == 0 => {
                let name = list[from..at].trim_ascii();
                if !named && !name.is_empty() {
                    found.push(name);
                }
                named = char == '=';
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(source: &str) -> String {
        let measured = format!(" | {MEASURED}");
        scan(source).unwrap().source.replace(&measured, "|M").replace(&format!(" | {PLAIN}"), "|P")
    }

    #[test]
    fn only_what_gets_a_name_and_marks_are_rewritten() {
        for same in [
            "a {{ b }} {%- if x == 'set a.b = 1' -%} {% endif %}{# {% generation %} #}",
            "{% raw %}{% generation %}{% set a.b = 1 %}{%- endraw +%}{{ set }}",
            "{{ '%}' }}{{ {'a': {'b': 1}} }}",
            "{% unfinished",
            "{{ 'unfinished",
            "{# unfinished",
            "{% raw %} unfinished",
            "",
            "{{ generation }}",
            "{{ \"\\\" }}\" }}{% call f() %}{% endcall %}{{ '-' * n }}{{ n * '=' }}{{ f(*x) }}{{ 2 ** 3 }}",
        ] {
            assert_eq!(rewritten(same), same);
        }
        for (source, expected) in [
            ("{%- generation -%}x{% endgeneration +%}", "{%- call offshoot_generation() -%}x{% endcall +%}"),
            ("{%-set ns.x=a or b == 1-%}", "{%-set ns.x= (a or b == 1)|P -%}"),
            ("{% set a, b.c = 1, 2 %}", "{% set a, b.c = ( 1, 2 )|P %}"),
            ("{% set b.c | trim %}", "{% set b.c | trim |P %}"),
            ("{%set x%}", "{%set x|M %}"),
            ("{% set x = y['a'] %}", "{% set x = ( y['a'] )|M %}"),
            ("{%- for a, b in c if d -%}", "{%- for a, b in c if d -%}{% set a = a|M -%}{% set b = b|M -%}"),
            ("{% macro f() %}", "{% macro f() %}"),
            (
                "{% macro f(a, b=[c, (1)], d=',') +%}",
                "{% macro f(a, b=[c, (1)], d=',') +%}{% set a = a|M +%}{% set b = b|M +%}{% set d = d|M +%}",
            ),
            ("a\r\nb\rc", "a\nb\nc"),
        ] {
            assert_eq!(rewritten(source), expected);
        }
    }

    #[test]
    fn a_tag_ends_where_its_brackets_are_closed() {
        // `}}` and `%}` inside brackets and texts do not end it, so what follows is seen.
        for before in ["{{ [ '}}', (1) ] }}", "{{ {'%}': {}} }}", "{% if '{%' %}", "{{ x ) ( }}"] {
            let source = format!("{before}{{% generation %}}");
            assert!(scan(&source).unwrap().has_marks, "{source}");
        }
    }

    #[test]
    fn what_could_do_endless_work_is_refused() {
        for source in [
            "{{ [1] * 10 }}",
            "{{ x * 10 }}",
            "{{ 10 * x }}",
            "{{ f('a') * 10 }}",
            "{{ 10 * 'a'.split('a') }}",
            "{{ 10 * 'a' [0] }}",
            "{{ 10 * 'a' | list }}",
            "{% if x*y %}",
            "{{ x ['a'] * 3 }}",
            "{% with x = 1 %}",
            "{%+ with%}",
            "{% call(x) f() %}",
            "{% call (x) f() %}",
        ] {
            assert!(scan(source).is_err(), "{source}");
        }
        assert!(scan(&"{% set a.b = 1 %}".repeat(MOST_KEPT)).is_ok());
        assert!(scan(&"{% set a.b = 1 %}".repeat(MOST_KEPT + 1)).is_err());
    }

    #[test]
    fn more_than_any_template_has_is_refused() {
        assert!(scan(&" ".repeat(MOST_BYTES + 1)).is_err());
        assert!(scan(&format!("{{{{ {} }}}}", "-".repeat(MOST_CODE_IN_TAG))).is_ok());
        assert!(scan(&format!("{{{{ {} }}}}", "-".repeat(MOST_CODE_IN_TAG + 1))).is_err());
        assert!(scan(&"{{ abcdefghij }}".repeat(MOST_CODE / 10 + 1)).is_err());
        assert!(scan(&format!("{{{{ '{}' }}}}", "a".repeat(MOST_TEXT_IN_TAG))).is_err());
        assert!(scan(&format!("{{{{ '{}' }}}}{}", "a".repeat(30_000), "a".repeat(500_000))).is_ok());
        assert!(scan(&"{{}}".repeat(MOST_BYTES / 4)).is_ok(), "many tags take no time");
    }
}
