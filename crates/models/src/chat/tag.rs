//! One tag of a template, read exactly as minijinja's lexer reads it: nothing escapes the checks on it.

/// Where a tag's parts are, in bytes from its `{`.
pub(super) struct Tag {
    /// Where the code begins, after the marker and its whitespace control.
    pub(super) start: usize,
    /// Where the code ends.
    pub(super) end: usize,
    /// The tag with its markers; a tag that does not end reaches to the end of the source.
    pub(super) length: usize,
    /// Bytes of code outside of texts; a text counts as one.
    pub(super) code: usize,
    /// Bytes of texts.
    pub(super) texts: usize,
    /// The first `=` that assigns.
    pub(super) assign: Option<usize>,
    /// Whether a product may have a list on one side.
    pub(super) repeats_lists: bool,
}

/// What stood last in the code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The start, an opening bracket, a comma.
    Open,
    Text,
    Other,
}

impl Tag {
    /// Reads the tag at the start of `source`.
    pub(super) fn read(source: &str, block: bool) -> Self {
        let bytes = source.as_bytes();
        let close: &[u8] = if block { b"%}" } else { b"}}" };
        let start = if matches!(bytes.get(2), Some(b'-' | b'+')) { 3 } else { 2 };
        let (end, length) = (bytes.len(), bytes.len());
        let mut tag = Self { start, end, length, code: 0, texts: 0, assign: None, repeats_lists: false };
        let (mut at, mut balance, mut last) = (start, 0_isize, Last::Open);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let control = usize::from(matches!(rest[0], b'-' | b'+') && rest[1..].starts_with(close));
            if balance == 0 && rest[control..].starts_with(close) {
                (tag.end, tag.length) = (at, at + control + 2);
                return tag;
            }
            let mut step = 1;
            let mut now = Last::Other;
            match rest[0] {
                quote @ (b'"' | b'\'') => {
                    step = text(rest, quote);
                    tag.texts += step;
                    now = Last::Text;
                }
                b'(' | b'[' | b'{' => (balance, now) = (balance + 1, Last::Open),
                b')' | b']' | b'}' => balance -= 1,
                b',' => now = Last::Open,
                b'*' if rest.get(1) == Some(&b'*') => step = 2,
                // After a bracket or a comma it unpacks arguments.
                b'*' if last != Last::Open => {
                    tag.repeats_lists |= last != Last::Text && !before_text(&rest[1..])
                }
                b'=' | b'!' | b'<' | b'>' if rest.get(1) == Some(&b'=') => step = 2,
                b'=' if balance == 0 && tag.assign.is_none() => tag.assign = Some(at),
                _ => {}
            }
            if !rest[0].is_ascii_whitespace() {
                tag.code += 1;
                last = now;
            }
            at += step;
        }
        tag
    }
}

/// Whether the next operand is a text and nothing that is made of one.
fn before_text(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    match rest.first() {
        Some(&quote @ (b'"' | b'\'')) => {
            let after = rest[text(rest, quote)..].trim_ascii_start().first();
            !matches!(after, Some(b'.' | b'[' | b'(' | b'|'))
        }
        _ => false,
    }
}

/// The length of a quoted text with its quotes; to the end if it does not end.
fn text(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The length of the rest of a tag (after `{%`) that holds nothing but the word; none if it is another.
pub(super) fn basic_tag(rest: &str, word: &str) -> Option<usize> {
    let control = |text: &str| usize::from(text.starts_with(['-', '+']));
    let mut tail = &rest[control(rest)..];
    tail = tail.trim_ascii_start().strip_prefix(word)?.trim_ascii_start();
    tail = tail[control(tail)..].strip_prefix("%}")?;
    Some(rest.len() - tail.len())
}
