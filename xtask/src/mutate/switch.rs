//! Many mutations in one build: each function that is to be broken gets every broken body beside its own, and the
//! environment says which one runs. Building once instead of once per mutation is what makes a full run affordable.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, ensure};

use super::list::Mutation;

/// The environment variable that names the mutation to run with.
pub(crate) const VARIABLE: &str = "CALLBOARD_MUTATION";

/// Where hosts are started: they keep nothing of an environment but what is listed there.
pub(crate) const HOSTS: &str = "crates/host/src/process/spawn.rs";
const KEPT: &str = "[&str; 1] = [\"LD_LIBRARY_PATH\"]";

/// `source`, which is that of [`HOSTS`], with hosts that are told of the variable.
pub(crate) fn told_to_hosts(source: &str) -> Result<String> {
    ensure!(source.contains(KEPT), "{HOSTS} does not say any more what hosts keep of the environment");
    Ok(source.replace(KEPT, &format!("[&str; 2] = [\"LD_LIBRARY_PATH\", \"{VARIABLE}\"]")))
}

/// Whether a mutation can be switched on in a program that is built: it breaks the body of a function, and its crate has an
/// environment to ask. The tests of the crates that come before a bench link nothing but what is below them: there, a crate
/// is rebuilt for its own mutations only.
pub(crate) fn is_possible(mutation: &Mutation, source: &str) -> bool {
    let path = mutation.file.strip_prefix("crates/").unwrap_or_default();
    let Some((broken, _)) = path.split_once("/src/") else { return false };
    let whole = ["callboard", "callboard-bench"].contains(&mutation.package.as_str());
    let own = mutation.package.strip_prefix("callboard-") == Some(broken);
    let has_std = !["notify", "nt-abi"].contains(&broken);
    (whole || own) && has_std && body_around(source, &mutation.old).is_some()
}

/// `source` with all these mutations of it in place, each asleep.
pub(crate) fn with_all(source: &str, mutations: &[&Mutation]) -> String {
    // By where the body begins, with its end.
    let mut bodies: BTreeMap<usize, (usize, Vec<&Mutation>)> = BTreeMap::new();
    for mutation in mutations {
        if let Some(body) = body_around(source, &mutation.old) {
            bodies.entry(body.start).or_insert((body.end, Vec::new())).1.push(mutation);
        }
    }
    let mut switched = source.to_owned();
    // From the back, so that places further in front stay where they are.
    for (start, (end, mutations)) in bodies.into_iter().rev() {
        let body = &source[start..end];
        let mut all = String::from("{\n    ");
        for Mutation { name, old, new, .. } in mutations {
            let broken = body.replacen(old, new, 1);
            all.push_str(&format!(
                "if ::std::env::var_os(\"{VARIABLE}\").is_some_and(|it| it == \"{name}\") {broken} else "
            ));
        }
        all.push_str(body);
        all.push_str("\n}");
        switched.replace_range(start..end, &all);
    }
    switched
}

/// The body, with its braces, of the function that holds all of `text`. Relies on the format of rustfmt: a function
/// begins a line, and its last brace stands in a line of its own, as far in as the function.
fn body_around(source: &str, text: &str) -> Option<Range<usize>> {
    let at = source.find(text)?;
    let mut start = None;
    let mut offset = 0;
    for line in source.split_inclusive('\n') {
        if offset > at {
            break;
        }
        let code = line.trim_start();
        if is_function(code) {
            start = Some((offset, line.len() - code.len()));
        }
        offset += line.len();
    }
    let (head, indent) = start?;
    let open = head + source[head..].find("{\n")?;
    let last = format!("\n{}}}\n", " ".repeat(indent));
    let end = open + source[open..].find(&last)? + last.len() - 1;
    (open < at && at + text.len() <= end).then_some(open..end)
}

fn is_function(code: &str) -> bool {
    let mut rest = code;
    for word in ["pub ", "pub(crate) ", "pub(super) ", "pub(in crate::ps) ", "unsafe ", "extern \"win64\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.starts_with("fn ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "const A: u8 = 1;\n\nimpl B {\n    pub fn c(&self) -> u8 {\n        if self.d {\n            return 2;\n        }\n        3\n    }\n}\n";

    fn mutation(name: &str, old: &str, new: &str) -> Mutation {
        let text = |text: &str| text.to_owned();
        Mutation {
            name: text(name),
            file: text("crates/kernel/src/a.rs"),
            old: text(old),
            new: text(new),
            red: Vec::new(),
            package: text("callboard-kernel"),
            targets: Vec::new(),
            tests: Vec::new(),
        }
    }

    #[test]
    fn the_body_is_found_and_constants_have_none() {
        let body = body_around(SOURCE, "return 2;").unwrap();
        assert!(
            SOURCE[body.clone()].starts_with("{\n        if self.d") && SOURCE[body].ends_with("3\n    }")
        );
        assert!(body_around(SOURCE, "u8 = 1").is_none() && body_around(SOURCE, "fn c(&self)").is_none());
    }

    #[test]
    fn two_mutations_of_one_function_sleep_side_by_side() {
        let (one, two) = (mutation("one", "return 2", "return 4"), mutation("two", "        3", "        5"));
        assert!(is_possible(&one, SOURCE));
        let switched = with_all(SOURCE, &[&one, &two]);
        assert_eq!((switched.matches("return 4").count(), switched.matches("return 2").count()), (1, 2));
        assert_eq!(switched.matches('{').count(), switched.matches('}').count());
        assert!(switched.contains("== \"one\") {") && switched.contains("== \"two\") {"));
    }
}
