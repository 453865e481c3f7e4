//! A log that is made up, for what measures how fast logs are read.

use telemetry::oracle::Entry;

/// A day as hosts have it: processes that load 48 images each, one after the other.
pub(crate) fn day(count: u32) -> Vec<Entry> {
    let fixed = |number: u32| {
        let (process, seconds) = (number / 50, number / 1000);
        let time = format!(
            "{:02}:{:02}:{:02}.{:03}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            number % 1000
        );
        vec![
            ("RuleName", "-".to_owned()),
            ("UtcTime", format!("2020-10-23 {time}")),
            ("ProcessGuid", format!("{{39e4a257-9ae6-5f97-d027-{process:012x}}}")),
            ("ProcessId", (4 * (process % 10_000) + 20_000).to_string()),
            ("Image", "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe".to_owned()),
        ]
    };
    let rest: [&[(&str, &str)]; 3] = [
        &[
            (
                "CommandLine",
                "\"C:\\Windows\\System32\\cmd.exe\" /c echo \"a b\" > C:\\Users\\u\\AppData\\Local\\Temp\\x.txt",
            ),
            ("CurrentDirectory", "C:\\Windows\\System32\\"),
            ("User", "HOST42\\user"),
            ("IntegrityLevel", "High"),
            ("Hashes", "SHA1=5CC5DB09B1F1615ACBA22D79D0B6C0797AF763F5,MD5=74A0194782E039ACE1F7349544DC1CF4"),
            ("ParentProcessGuid", "{39e4a257-9acc-5f97-cd27-000000000700}"),
            ("ParentProcessId", "12340"),
            ("ParentImage", "C:\\Windows\\System32\\cmd.exe"),
            ("ParentCommandLine", "\"C:\\Windows\\System32\\cmd.exe\""),
        ],
        &[("User", "HOST42\\user")],
        &[
            ("ImageLoaded", "C:\\Windows\\System32\\wtsapi32.dll"),
            ("FileVersion", "10.0.19041.546 (WinBuild.160101.0800)"),
            ("Description", "Windows Remote Desktop Session Host Server SDK APIs"),
            ("Product", "Microsoft Windows Operating System"),
            ("Company", "Microsoft Corporation"),
            ("OriginalFileName", "wtsapi32.dll"),
            ("Hashes", "SHA1=F4B972ED5FEE471BDFB01B195C58F2D341299B93,MD5=2E8BC179A27B230AF644C81C956A7627"),
            ("Signed", "true"),
            ("Signature", "Microsoft Windows"),
            ("SignatureStatus", "Valid"),
        ],
    ];
    (0..count)
        .map(|number| {
            let (id, rest) = match number % 50 {
                0 => (1, rest[0]),
                49 => (5, rest[1]),
                _ => (7, rest[2]),
            };
            let mut fields = fixed(number);
            fields.extend(rest.iter().map(|(name, value)| (*name, (*value).to_owned())));
            Entry {
                provider: "Microsoft-Windows-Sysmon",
                channel: "Microsoft-Windows-Sysmon/Operational",
                id,
                computer: "HOST42.example.org".into(),
                time: 132_479_458_811_230_000,
                fields,
            }
        })
        .collect()
}

/// The same as lines of JSON, as NXLog writes them.
pub(crate) fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let mut line = serde_json::Map::new();
        let envelope = [
            ("SourceName", entry.provider.into()),
            ("Channel", entry.channel.into()),
            ("Hostname", entry.computer.clone().into()),
            ("@timestamp", "2020-10-23T16:58:01.123Z".into()),
            ("EventID", entry.id.into()),
        ];
        let fields = entry.fields.iter().map(|(name, value)| (*name, value.clone().into()));
        line.extend(envelope.into_iter().chain(fields).map(|(name, value)| (name.to_owned(), value)));
        let message: Vec<String> =
            entry.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        line.insert("Message".into(), message.join("\r\n").into());
        text += &serde_json::Value::Object(line).to_string();
        text.push('\n');
    }
    text
}
