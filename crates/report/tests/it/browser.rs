//! The page in a real browser, where one is installed: Chromium without a window, opened from disk.
//!
//! The page is looked at twice: as it is, under its own policy, and with a script of the test behind it, which acts
//! as a person would and writes what came of it into the document.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use event::*;
use report::{Html, Sink as _, html};

use crate::crowd::crowd;

/// What a person does: waits, searches, moves by keys, opens details. Each answer is a line.
const VISIT: &str = r"
addEventListener('error', event => { document.documentElement.dataset.error = event.message; });
document.addEventListener('DOMContentLoaded', () => setTimeout(() => {
  const out = [];
  const tree = document.getElementById('tree');
  const query = document.getElementById('query');
  const press = (key, on = document.activeElement) => on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const selected = () => { const id = tree.getAttribute('aria-activedescendant'); const row = document.getElementById(id); return row ? `${id} ${row.getAttribute('aria-selected')} ${row.getAttribute('aria-level')}` : 'none'; };
  out.push(`rows ${document.querySelectorAll('.row').length}`);
  out.push(`wide ${document.documentElement.scrollWidth > innerWidth} of ${innerWidth}`);
  tree.focus();
  out.push(`first ${selected()}`);
  press('ArrowDown'); press('ArrowDown');
  out.push(`third ${selected()}`);
  press('End');
  out.push(`last ${selected()}`);
  press('Home');
  press('ArrowLeft');
  out.push(`closed ${document.querySelectorAll('.row').length}`);
  press('ArrowRight');
  press('/');
  out.push(`searching ${document.activeElement === query}`);
  query.value = 'setup_שלום'; query.dispatchEvent(new Event('input'));
  setTimeout(() => {
    out.push(`found ${document.getElementById('found').textContent}`);
    const before = selected();
    document.getElementById('next').click();
    out.push(`next ${before !== selected()}`);
    tree.focus(); press('Enter');
    const detail = document.getElementById('detail');
    out.push(`details ${!detail.hidden && document.activeElement === detail && detail.textContent.includes('setup_')}`);
    press('Escape');
    out.push(`back ${detail.hidden && document.activeElement === tree}`);
    press('?');
    out.push(`help ${document.getElementById('help').open}`);
    document.getElementById('help').close();
    document.querySelector('[data-chip=refused]').click();
    out.push(`refused ${[...document.querySelectorAll('.row:not(.dim)')].every(row => row.textContent.includes('refused'))}`);
    document.body.append(Object.assign(document.createElement('pre'), { id: 'visit', textContent: out.join('\n') }));
  }, 400);
}, 50));
";

/// A browser, if there is one; says so if not.
#[expect(clippy::print_stderr, reason = "a test that did not run must be seen")]
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let browser = files.find(|file| file.is_file());
    if browser.is_none() {
        eprintln!("SKIPPED: none of {} is on PATH", names.join(", "));
    }
    browser
}

/// The document that a browser makes of a file, and what it says on its console.
fn opened(browser: &Path, folder: &Path, page: &Path, size: &str) -> (String, String) {
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"])
        .args(["--virtual-time-budget=20000", "--disable-dev-shm-usage", "--no-first-run"])
        .arg(format!("--window-size={size}"))
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let console: String = said.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    (String::from_utf8(output.stdout).unwrap(), console)
}

fn page(events: u64) -> String {
    let mut out = Vec::new();
    let mut sink = Html::new("test", &mut out, html::Options::default());
    crowd(&mut sink, events);
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

/// The page with a script behind its own, which its policy would not let run.
fn visited(page: &str) -> String {
    let (head, rest) = page.split_once("script-src ").unwrap();
    let (_, rest) = rest.split_once(';').unwrap();
    let page = format!("{head}script-src 'unsafe-inline';{rest}");
    page.replacen("</head>", &format!("<script>{VISIT}</script></head>"), 1)
}

fn value<'d>(document: &'d str, attribute: &str) -> Option<&'d str> {
    document
        .split_once(&format!("{attribute}=\""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(value, _)| value)
}

#[test]
fn a_hundred_thousand_events_open_and_are_used_by_keyboard() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let text = page(100_000);
    assert!(text.len() < 12 << 20, "{} bytes", text.len());
    fs::write(&file, &text).unwrap();
    let (document, console) = opened(&browser, folder.path(), &file, "1280,900");
    assert_eq!(console, "");
    let ready: u64 =
        value(&document, "data-ready").expect("the script ran under its policy").parse().unwrap();
    assert!(ready < 10_000, "{ready} ms");
    assert!(document.contains("role=\"treeitem\""));

    fs::write(&file, visited(&text)).unwrap();
    let (document, console) = opened(&browser, folder.path(), &file, "1280,900");
    assert_eq!(console, "");
    assert_eq!(value(&document, "data-error"), None);
    let (_, visit) = document.split_once("<pre id=\"visit\">").expect("the visit came to its end");
    let visit: Vec<_> = visit.split("</pre>").next().unwrap().lines().collect();
    let says = |what: &str| visit.iter().find_map(|line| line.strip_prefix(what)).unwrap().trim();
    let rows: usize = says("rows").parse().unwrap();
    assert!((10..120).contains(&rows), "only what can be seen is in the document: {rows}");
    assert!(says("wide").starts_with("false"));
    assert_eq!((says("first"), says("third")), ("n0 true 1", "n2 true 2"));
    assert!(says("last").contains(" true "), "a selected row is in the document");
    assert_eq!(says("closed"), "1");
    for what in ["searching", "next", "details", "back", "help", "refused"] {
        assert_eq!(says(what), "true", "{what}");
    }
    assert!(says("found").contains(" of "));
}

/// A process that is created, in a record.
fn creation(time: i64, id: u32, parent: u32, name: &str) -> Record<'static> {
    let image = Some(Name::from_nt(name).into_owned());
    let process = Process { process: ProcessId(id), parent: ProcessId(parent), image, ..Process::default() };
    let (context, kind) = (ClientId::default(), EventKind::ProcessCreate(process));
    let event = Event { time: Time(time), context, kind, conditions: Conditions::default() };
    Record { time: Time(time), context, body: Body::Event(event) }
}

fn written(records: impl IntoIterator<Item = Record<'static>>) -> String {
    let mut out = Vec::new();
    let mut sink = Html::new("test", &mut out, html::Options::default());
    records.into_iter().for_each(|record| sink.record(&record).unwrap());
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

#[test]
fn trees_of_any_shape_open() {
    let Some(browser) = browser() else { return };
    const DAY: i64 = 864_000_000_000;
    let hostile =
        "</script><script>document.documentElement.dataset.ran=1</script><!--<img src=x onerror=y>\u{202e}\0";
    let cut = page(3_000);
    let cut = &cut[..cut.rfind("[\"X\"").unwrap() + 9];
    let pages = [
        ("nothing", written([]), "No process was recorded."),
        ("one process, no time", written([creation(1, 8, 4, "a.exe")]), "aria-setsize=\"1\""),
        (
            "all roots",
            written((0..100_000).map(|n| creation(n.into(), 8 + n * 4, 0, "a.exe"))),
            "aria-setsize=\"100000\"",
        ),
        (
            "three days, ten thousand deep",
            written(
                (0..10_000).map(|n| creation(DAY * 3 / 10_000 * i64::from(n), 8 + n * 4, 4 + n * 4, "a.exe")),
            ),
            "aria-level=\"20\"",
        ),
        ("hostile", written([creation(1, 8, 4, hostile)]), "onerror=y&gt;\\u{202e}\\x00"),
        ("cut short", cut.to_owned(), "This page was cut short"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    for (what, page, shown) in pages {
        fs::write(&file, page).unwrap();
        let (document, console) = opened(&browser, folder.path(), &file, "1280,900");
        assert_eq!(console, "", "{what}");
        assert!(value(&document, "data-ready").is_some(), "{what}");
        let (_, body) = document.split_once("<body").unwrap();
        assert!(body.contains(shown), "{what}");
        assert!(!document.contains("data-ran") && !document.contains("<img"), "{what}");
    }
}

#[test]
fn a_phone_shows_it_without_scrolling_sideways() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.html"), visited(&page(2_000))).unwrap();
    // A window has a least width that is wider than a phone; a frame has not.
    let report = "addEventListener('message', event => { document.title = event.data; })";
    let frame = format!("<script>{report}</script><iframe src=page.html width=390 height=844></iframe>");
    let file = folder.path().join("frame.html");
    fs::write(&file, frame).unwrap();
    let inside =
        "setTimeout(() => parent.postMessage(document.getElementById('visit').textContent, '*'), 1500);";
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    fs::write(
        folder.path().join("page.html"),
        page.replacen("</body>", &format!("<script>{inside}</script></body>"), 1),
    )
    .unwrap();
    let (document, console) = opened(&browser, folder.path(), &file, "800,900");
    assert_eq!(console, "");
    assert!(document.contains("wide false of 390"), "{}", document.get(..2_000).unwrap_or(&document));
}
