//! `cargo xtask mutate`: a test proves something only if it fails when the behaviour is broken. This breaks one
//! behaviour at a time, in a copy of the tree, and expects red. What can be is built in asleep, all at once (`switch`);
//! the rest is built apart.

pub(crate) mod list;
mod switch;
mod tree;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use crate::root::root;
use list::{Mutation, Seen};
use tree::{Ran, Tree};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only see that every mutation still fits the sources
    #[arg(long, conflicts_with_all = ["bless", "list"])]
    check: bool,
    /// Name the mutations and run none
    #[arg(long)]
    list: bool,
    /// Write down which mutations were caught, for docs/conformance.md
    #[arg(long)]
    bless: bool,
    /// Only those that were not seen to be caught yet
    #[arg(long)]
    new: bool,
    /// Only the mutations whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let all = list::read(root())?;
    let mut seen = Seen::read(root(), &all)?;
    if arguments.check {
        eprintln!("{} mutations fit the sources", all.len());
        return Ok(());
    }
    let wanted = |mutation: &&Mutation| {
        arguments.only.as_ref().is_none_or(|part| mutation.name.contains(part.as_str()))
            && !(arguments.new && seen.date(mutation).is_some())
    };
    let chosen: Vec<&Mutation> = all.iter().filter(wanted).collect();
    if arguments.list {
        for mutation in &chosen {
            eprintln!("{}: {} ({})", mutation.name, mutation.red.join(" "), mutation.file);
        }
        return Ok(());
    }
    ensure!(!chosen.is_empty(), "no mutation to run");

    let tree = Tree::copy()?;
    let day = tree::day(root())?;
    let (asleep, apart): (Vec<_>, Vec<_>) = chosen.iter().partition(|mutation| tree.can_sleep(mutation));
    let mut survivors = Vec::new();
    let mut tried = 0;
    let mut judge = |mutation: &Mutation, green: Vec<&str>| {
        tried += 1;
        let outcome =
            if green.is_empty() { "caught".into() } else { format!("NOT CAUGHT by {}", green.join(" ")) };
        eprintln!("[{tried}/{}] {}: {outcome}", chosen.len(), mutation.name);
        seen.note(mutation, green.is_empty(), &day);
        if !green.is_empty() {
            survivors.push(mutation.name.clone());
        }
        if arguments.bless { seen.write(root()) } else { Ok(()) }
    };
    tree.with_all(&asleep, |tree| {
        unbroken(tree, &asleep)?;
        asleep.iter().try_for_each(|mutation| judge(mutation, green(tree, mutation, Some(&mutation.name))?))
    })?;
    // Package by package: what is small is through before what is large is built.
    let packages: BTreeSet<&str> = apart.iter().map(|mutation| mutation.package.as_str()).collect();
    for package in packages.into_iter().rev() {
        let of_package: Vec<_> =
            apart.iter().copied().filter(|mutation| mutation.package == package).collect();
        unbroken(&tree, &of_package)?;
        for mutation in of_package {
            let green = tree.with(mutation, |tree| green(tree, mutation, None))?;
            judge(mutation, green)?;
        }
    }
    eprintln!("{} of {} mutations were caught", chosen.len() - survivors.len(), chosen.len());
    if !survivors.is_empty() {
        bail!("tests stayed green although a behaviour was broken: {}", survivors.join(" "));
    }
    Ok(())
}

/// Sees that all tests pass as long as nothing is broken.
fn unbroken(tree: &Tree, chosen: &[&Mutation]) -> Result<()> {
    let packages: BTreeSet<_> =
        chosen.iter().map(|mutation| (&mutation.package, &mutation.targets)).collect();
    for (package, targets) in packages {
        let of_package =
            chosen.iter().filter(|mutation| (&mutation.package, &mutation.targets) == (package, targets));
        let tests: BTreeSet<String> = of_package.flat_map(|mutation| mutation.tests.clone()).collect();
        let tests: Vec<String> = tests.into_iter().collect();
        let ran = tree.test(package, targets, &tests, None)?;
        ensure!(ran == Ran::Passed, "the tests of {package} are red before anything is broken");
    }
    Ok(())
}

/// The tests that stay green: each one must notice by itself.
fn green<'a>(tree: &Tree, mutation: &'a Mutation, awake: Option<&str>) -> Result<Vec<&'a str>> {
    let mut green = Vec::new();
    for test in &mutation.tests {
        match tree.test(&mutation.package, &mutation.targets, std::slice::from_ref(test), awake)? {
            Ran::Failed => {}
            Ran::Passed => green.push(test.as_str()),
            Ran::NotBuilt => bail!("{} does not compile: it breaks no behaviour", mutation.name),
        }
    }
    Ok(green)
}
