//! The configurations of a data set, as the front matter of its README.md has them. Only so much YAML is read as
//! they are written in (mappings and lists by indentation, plain and quoted texts), and what is
//! anything else in them is refused with its line. Other keys of the front matter are passed over.

/// One configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) name: String,
    /// Each split, and the patterns of its files.
    pub(super) splits: Vec<(String, Vec<String>)>,
}

/// A line, from 1, and what is wrong there.
pub(super) type Fault = (usize, String);

type Result<T> = std::result::Result<T, Fault>;

/// The configurations in the text of a README.md; none where there is no front matter, or none in it.
pub(super) fn configs(text: &str) -> Result<Vec<Config>> {
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, line)| line.trim_end() != "---") {
        return Ok(Vec::new());
    }
    let mut inside: Vec<(usize, &str)> = lines.collect();
    let Some(end) = inside.iter().position(|(_, line)| line.trim_end() == "---") else {
        return Ok(Vec::new());
    };
    inside.truncate(end);
    let Some(at) = inside.iter().position(|(_, line)| line.starts_with("configs:")) else {
        return Ok(Vec::new());
    };
    let (number, first) = inside[at];
    if first.trim_end() != "configs:" {
        return fault(number, "the configurations must be a list below this line");
    }
    let own = |(_, line): &&(usize, &str)| line.is_empty() || line.starts_with([' ', '-', '#', '\r', '\t']);
    let lines = inside[at + 1..].iter().take_while(own).map(|(number, line)| Line::of(*number, line));
    let mut reader = Reader { lines: lines.filter_map(Result::transpose).collect::<Result<_>>()?, at: 0 };
    let Some(indent) = reader.next().map(|line| line.indent) else { return Ok(Vec::new()) };
    let node = reader.node(indent)?;
    match reader.next() {
        Some(line) => fault(line.number, "the indentation does not fit the lines above"),
        None => items(&node, number)?.iter().map(config).collect(),
    }
}

fn fault<T>(number: usize, reason: &str) -> Result<T> {
    Err((number + 1, reason.to_owned()))
}

/// A value, and the line that it begins on, from 0.
#[derive(Debug)]
struct Node {
    number: usize,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// More than any configuration is indented: what is read is not nested without bound.
const MOST_INDENT: usize = 40;

/// A line that says something.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    indent: usize,
    text: String,
}

impl Line {
    fn of(number: usize, line: &str) -> Result<Option<Self>> {
        let text = line.trim();
        let indent = line.len() - line.trim_start_matches(' ').len();
        match text.chars().next() {
            None | Some('#') => Ok(None),
            _ if indent > MOST_INDENT => fault(number, "indented too deep"),
            _ if line[indent..].starts_with('\t') => fault(number, "a tab; indent with spaces"),
            _ => Ok(Some(Self { number, indent, text: text.to_owned() })),
        }
    }

    /// What stands after the dash of a list's item.
    fn item(&self) -> Option<&str> {
        self.text.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' '))
    }

    /// The key and the value of a mapping's line.
    fn pair(&self) -> Option<(&str, &str)> {
        let (key, value) = self.text.split_once(':')?;
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let fits = !key.is_empty() && key.chars().all(plain) && (value.is_empty() || value.starts_with(' '));
        fits.then(|| (key, value.trim()))
    }
}

struct Reader {
    lines: Vec<Line>,
    at: usize,
}

impl Reader {
    fn next(&self) -> Option<Line> {
        self.lines.get(self.at).cloned()
    }

    /// The list or mapping whose lines have this indentation.
    fn node(&mut self, indent: usize) -> Result<Node> {
        let number = self.next().map_or(0, |line| line.number);
        let (mut list, mut map) = (Vec::new(), Vec::<(String, Node)>::new());
        while let Some(line) = self.next().filter(|line| line.indent == indent) {
            match (line.item(), line.pair()) {
                (Some(rest), _) if map.is_empty() => list.push(self.item(&line, rest)?),
                (None, Some((key, value))) if list.is_empty() => {
                    if map.iter().any(|(known, _)| known == key) {
                        return fault(line.number, "this key stands twice");
                    }
                    self.at += 1;
                    map.push((key.to_owned(), self.value(&line, value)?));
                }
                // A list may stand where the keys of the mapping around it do: one ends where the other goes on.
                (Some(_), _) | (None, Some(_)) => break,
                _ => return fault(line.number, "neither `key: value` nor `- item`"),
            }
        }
        let value = if list.is_empty() { Value::Map(map) } else { Value::List(list) };
        Ok(Node { number, value })
    }

    fn item(&mut self, line: &Line, rest: &str) -> Result<Node> {
        let text = rest.trim().to_owned();
        let indent = line.indent + line.text.len() - text.len();
        let inner = Line { number: line.number, indent, text };
        if inner.pair().is_some() {
            // `- key: value` is a mapping whose first line stands behind the dash.
            self.lines[self.at] = inner;
            return self.node(indent);
        }
        self.at += 1;
        if inner.item().is_some() {
            return fault(line.number, "a list in a list");
        }
        self.value(line, &inner.text)
    }

    /// What stands behind a key or a dash, or on the lines below it.
    fn value(&mut self, line: &Line, text: &str) -> Result<Node> {
        if !text.is_empty() && !text.starts_with('#') {
            return Ok(Node { number: line.number, value: Value::Text(plain(line.number, text)?) });
        }
        let below = |next: &Line| {
            next.indent > line.indent
                || next.indent == line.indent && next.item().is_some() && line.item().is_none()
        };
        match self.next().filter(below) {
            Some(next) => self.node(next.indent),
            None => fault(line.number, "nothing follows"),
        }
    }
}

fn plain(number: usize, text: &str) -> Result<String> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            let inner = inner.strip_suffix(quote).filter(|inner| !inner.contains([quote, '\\']));
            return inner
                .map_or_else(|| fault(number, "a quoted text that is not read here"), |t| Ok(t.to_owned()));
        }
    }
    let odd = text.is_empty() || text.starts_with(|c: char| "{}[]&*!|>%@`?,".contains(c) && c != '*');
    if odd || text.contains(": ") || text.contains(" #") || text.ends_with(':') {
        return fault(number, "a value that is not read here; put it in quotes if it is a text");
    }
    Ok(text.to_owned())
}

fn items(node: &Node, number: usize) -> Result<&[Node]> {
    match &node.value {
        Value::List(items) => Ok(items),
        _ => fault(number, "what follows is no list"),
    }
}

fn text(node: &Node) -> Result<String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        _ => fault(node.number, "not a text"),
    }
}

/// One text, or several.
fn texts(node: &Node) -> Result<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(text).collect(),
        _ => text(node).map(|text| vec![text]),
    }
}

/// The values of a mapping's keys; other keys would change what is read.
fn fields<'a, const N: usize>(node: &'a Node, known: [&str; N]) -> Result<[Option<&'a Node>; N]> {
    let Value::Map(map) = &node.value else { return fault(node.number, "what follows is no mapping") };
    if let Some((key, value)) = map.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        let known = known.join(", ");
        return fault(value.number, &format!("`{key}` is not read here; known are {known}"));
    }
    Ok(known.map(|name| map.iter().find(|(key, _)| key == name).map(|(_, value)| value)))
}

fn config(node: &Node) -> Result<Config> {
    let [name, files, _default] = fields(node, ["config_name", "data_files", "default"])?;
    let name = name.map_or(Ok("default".to_owned()), text)?;
    let Some(files) = files else { return fault(node.number, "this configuration has no `data_files`") };
    let whole = match &files.value {
        Value::List(items) => !items.iter().any(|item| matches!(item.value, Value::Map(_))),
        _ => true,
    };
    if whole {
        return Ok(Config { name, splits: vec![("train".to_owned(), texts(files)?)] });
    }
    let split = |node: &Node| match fields(node, ["split", "path"])? {
        [Some(split), Some(path)] => Ok((text(split)?, texts(path)?)),
        _ => fault(node.number, "a split needs `split` and `path`"),
    };
    Ok(Config { name, splits: items(files, files.number)?.iter().map(split).collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(name: &str, splits: &[(&str, &[&str])]) -> Config {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let splits = splits.iter().map(|(split, paths)| ((*split).to_owned(), texts(paths))).collect();
        Config { name: name.to_owned(), splits }
    }

    fn front(configs: &str) -> String {
        format!(
            "---\nlicense: mit\ntags:\n- text\ndataset_info:\n  features:\n  - name: text\n{configs}---\n# A\n"
        )
    }

    #[test]
    fn configurations_are_read_as_the_hub_writes_them() {
        let text = front(
            "configs:\n- config_name: plain_text\n  data_files:\n  - split: train\n    path: plain_text/train-*\n  \
             - split: test\n    path: \"plain_text/test-*\"\n  default: true\n- config_name: 'other'\n  default: true\n  \
             data_files:\n  - split: train\n    path:\n    - a.csv\n    - b.csv\n  - split: validation\n    \
             path: 'c.csv'\ntrain-eval-index: []\n",
        );
        let expected = [
            config("plain_text", &[("train", &["plain_text/train-*"]), ("test", &["plain_text/test-*"])]),
            config("other", &[("train", &["a.csv", "b.csv"]), ("validation", &["c.csv"])]),
        ];
        assert_eq!(configs(&text).unwrap(), expected);
        let text =
            front("configs:\n  # One file.\n  - config_name: default\n    data_files: \"data/*.csv\"\n");
        assert_eq!(configs(&text).unwrap(), [config("default", &[("train", &["data/*.csv"])])]);
        let text = front("configs:\n- data_files:\n  - a.csv\n  - b.csv\n");
        assert_eq!(configs(&text).unwrap(), [config("default", &[("train", &["a.csv", "b.csv"])])]);
        for none in [
            "",
            "# configs:\n",
            "---\nlicense: mit\n---\nconfigs:\n- x\n",
            "---\nconfigs:\n- x\n",
            "---\nconfigs:\nlicense: x\n---\n",
        ] {
            assert_eq!(configs(none).unwrap(), [], "{none}");
        }
    }

    #[test]
    fn what_is_not_read_is_refused_with_its_line() {
        for (text, line, reason) in [
            ("configs: {a: 1}\n", 1, "must be a list below"),
            ("configs:\n- config_name: a\n", 2, "no `data_files`"),
            ("configs:\n- config_name: a\n  sep: \"x\"\n  data_files: a.csv\n", 3, "`sep` is not read here"),
            ("configs:\n- data_files: &anchor\n", 2, "not read here"),
            ("configs:\n- data_files: [a.csv]\n", 2, "not read here"),
            ("configs:\n- data_files: |\n    a.csv\n", 2, "not read here"),
            ("configs:\n- data_files: \"a\\n\"\n", 2, "quoted text"),
            ("configs:\n- data_files:\n  - split: train\n", 3, "`split` and `path`"),
            ("configs:\n- data_files:\n  - split: train\n    path: {a: b}\n", 4, "not read here"),
            ("configs:\n- data_files: a\n  data_files: b\n", 3, "stands twice"),
            ("configs:\n\t- data_files: a\n", 2, "a tab"),
            ("configs:\n- - a\n", 2, "a list in a list"),
            ("configs:\n- data_files:\n", 2, "nothing follows"),
            ("configs:\n- a b c\n- data_files: a\n", 2, "no mapping"),
            ("configs:\n  - data_files: a\n - data_files: b\n", 3, "indentation"),
            ("configs:\n  a: b\n", 1, "no list"),
        ] {
            let (found, said) = configs(&format!("---\n{text}---\n")).unwrap_err();
            assert!(said.contains(reason) && found == line + 1, "{text}: line {found}: {said}");
        }
        let deep: String = (0..2000).map(|depth| format!("{}- a:\n", "  ".repeat(depth))).collect();
        assert!(configs(&format!("---\nconfigs:\n{deep}---\n")).unwrap_err().1.contains("too deep"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(configs:\n)?([-: a'\"#\\[\\]\n\té]|split|path|data_files){0,40}") {
            let _ = configs(&format!("---\n{text}\n---\n"));
            let _ = configs(&format!("---\nconfigs:\n{text}"));
        }
    }
}
