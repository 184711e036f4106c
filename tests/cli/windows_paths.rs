//! Where the instructions of a Dockerfile put things in a Windows image, case by case.
//!
//! Source: BuildKit, `util/system/path_test.go` and `frontend/dockerfile/dockerfile_test.go`.

use std::{fs, os::unix::fs::symlink};

use polyarch::oci::Store;

use crate::support::{
    command::Desk,
    windows::{Layout, RIGHTS, base},
};

/// A desk with a context that has something of everything, and the argument that names its base.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    let store = Store::open(desk.path("base")).expect("a store");
    let root = base(&store, false);
    desk.context("app", "");
    for (name, text) in [("b.txt", "b\n"), ("dir/One.txt", "1\n"), ("dir/sub/two.txt", "2\n")] {
        let path = desk.path("app").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let base = format!("base=oci-layout://{}@{}", store.root().display(), root.digest);
    (desk, base)
}

fn arguments<'a>(base: &'a str, out: &'a str) -> [&'a str; 8] {
    ["build", "--platform", "windows/amd64", "--build-context", base, "-o", out, "app"]
}

#[test]
fn paths_lead_where_windows_would_go() {
    let (desk, base) = desk();
    // Instructions on the base with ` as the escape; what their layers have below Files; the working directory.
    for (number, (lines, expected, workdir)) in [
        (r"COPY a.txt C:\app\", "app app/a.txt", ""),
        (r"COPY a.txt c:\app\", "app app/a.txt", ""),
        ("COPY a.txt C:/app/", "app app/a.txt", ""),
        ("COPY a.txt /app/", "app app/a.txt", ""),
        (r"COPY a.txt \app\x.txt", "app app/x.txt", ""),
        (r"COPY a.txt \app\..\x.txt", "x.txt", ""),
        (r"COPY a.txt \..\..\x.txt", "x.txt", ""),
        (r"COPY a.txt C:x.txt", "x.txt", ""),
        (r"COPY a.txt C:\", "a.txt", ""),
        ("COPY a.txt .", "a.txt", ""),
        (r#"COPY ["a.txt", "C:\\with space\\"]"#, "with space with space/a.txt", ""),
        (r"COPY dir\sub\two.txt C:\app\", "app app/two.txt", ""),
        (r"COPY dir\ C:\app", "app app/One.txt app/sub app/sub/two.txt", ""),
        (r"COPY dir C:\app\", "app app/One.txt app/sub app/sub/two.txt", ""),
        (r"COPY C:\dir\sub C:\app", "app app/two.txt", ""),
        ("COPY *.txt /app/", "app app/a.txt app/b.txt", ""),
        ("COPY dir/*/two.txt /app/", "app app/two.txt", ""),
        (r"WORKDIR C:\app", "app", r"\app"),
        (r"WORKDIR C:/app/", "app", r"\app"),
        ("WORKDIR app", "app", r"\app"),
        ("WORKDIR /", "", r"\"),
        ("WORKDIR \\app\nWORKDIR sub", "app | app app/sub", r"\app\sub"),
        ("WORKDIR C:\\App\nCOPY a.txt .", "App | App App/a.txt", r"\App"),
        // Names that differ in case are one name, written as it was first.
        ("WORKDIR C:\\App\nCOPY a.txt C:/APP/sub/", "App | App App/sub App/sub/a.txt", r"\App"),
        ("COPY a.txt /x.txt\nCOPY b.txt /X.TXT", "x.txt | x.txt", ""),
        ("COPY a.txt /App/\nCOPY b.txt /aPP", "App App/a.txt | App App/b.txt", ""),
        (
            "COPY dir /app/\nCOPY a.txt /app/SUB/",
            "app app/One.txt app/sub app/sub/two.txt | app app/sub app/sub/a.txt",
            "",
        ),
        (
            "COPY dir /app/\nCOPY a.txt /app/sub/TWO.TXT",
            "app app/One.txt app/sub app/sub/two.txt | app app/sub app/sub/two.txt",
            "",
        ),
        // What is the same already makes no layer.
        ("WORKDIR C:\\app\nWORKDIR c:/APP", "app", r"\APP"),
        // The escape is `, and a line goes on after it.
        ("COPY a.txt `\n  C:\\app\\", "app app/a.txt", ""),
        ("ENV D=C:\\app\nCOPY a.txt ${D}\\x\\", "app app/x app/x/a.txt", ""),
        ("ARG TARGETOS\nCOPY a.txt C:\\for-$TARGETOS\\", "for-windows for-windows/a.txt", ""),
        ("COPY <<X C:\\x.ps1\nhi\nX", "x.ps1", ""),
        ("ADD a.txt C:\\app\\", "app app/a.txt", ""),
        ("COPY --chmod=755 --chown=1:2 --link a.txt C:\\app\\", "app app/a.txt", ""),
        ("COPY --parents dir\\sub\\two.txt C:\\app\\", "app app/dir app/dir/sub app/dir/sub/two.txt", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let dockerfile = format!("# escape=`\nFROM base\n{lines}\n");
        fs::write(desk.path("app/Dockerfile"), &dockerfile).expect("written");
        let out = format!("type=oci,tar=false,dest=out{number}");
        desk.ok(arguments(&base, &out));
        let folder = desk.path(&format!("out{number}"));
        let layout = Layout(&folder);
        let names = layout.made().into_iter().map(|members| {
            let names: Vec<String> = members.into_iter().map(|member| member.name).collect();
            assert_eq!(names[..2], ["Files/", "Hives/"], "{dockerfile}");
            let files = names[2..].iter().map(|name| name.strip_prefix("Files/").expect("a file"));
            files.map(|name| name.trim_end_matches('/')).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(names.collect::<Vec<_>>().join(" | "), expected, "{dockerfile}");
        let (_, config) = layout.windows();
        assert_eq!(config["config"]["WorkingDir"].as_str().unwrap_or_default(), workdir, "{dockerfile}");
    }
}

#[test]
fn a_backslash_is_the_escape_unless_the_file_says_otherwise() {
    let (desk, base) = desk();
    fs::write(desk.path("app/Dockerfile"), "FROM base\nCOPY a.txt C:\\\\app\\\\\nCOPY a.txt C:\\x\\y.txt\n")
        .expect("written");
    desk.ok(arguments(&base, "type=oci,tar=false,dest=out"));
    let folder = desk.path("out");
    let last = |layer: usize| Layout(&folder).made()[layer].last().expect("a member").name.clone();
    assert_eq!([last(0), last(1)], ["Files/app/a.txt", "Files/xy.txt"]);
}

#[test]
fn what_no_windows_image_can_have_is_refused_with_its_line() {
    let (desk, base) = desk();
    symlink("a.txt", desk.path("app/dir/link")).expect("linked");
    for (folder, name) in [("twins", "readme"), ("twins", "README"), ("device", "con.txt"), ("stream", "a:b")]
    {
        fs::create_dir_all(desk.path("app").join(folder)).expect("made");
        fs::write(desk.path("app").join(folder).join(name), "").expect("written");
    }
    for (line, reason) in [
        (r"COPY a.txt D:\app\", "is not on drive C:"),
        ("COPY a.txt C:", "names a drive and nothing on it"),
        (r"COPY a.txt \\server\share\", "begins with two slashes"),
        (r"COPY a.txt C:\app\a.txt:b", "would name a stream of a file"),
        (r"COPY a.txt C:\app\nul", "the name of a device"),
        (r"COPY a.txt C:\aux\", "the name of a device"),
        (r"COPY a.txt C:\app.\", "drops dots and spaces"),
        (r#"COPY ["a.txt", "C:/what?"]"#, "none of < >"),
        (r"WORKDIR D:\app", "is not on drive C:"),
        (r"WORKDIR C:\com1", "the name of a device"),
        (r"WORKDIR \\?\C:\app", "begins with two slashes"),
        (r"COPY dir C:\app\", "it is a symbolic link"),
        (r"COPY twins C:\app\", "are one file on Windows"),
        (r"COPY device C:\app\", "the name of a device"),
        (r"COPY stream C:\app\", "a stream of the file"),
        (r"COPY D:\a.txt C:\app\", "is not on drive C:"),
        (r"COPY --chown=app a.txt C:\app\", "use a number"),
    ] {
        fs::write(desk.path("app/Dockerfile"), format!("# escape=`\nFROM base\n{line}\n")).expect("written");
        let ended = desk.run(arguments(&base, "type=oci,tar=false,dest=out"));
        ended.fails(3, &["app/Dockerfile:3", reason]);
    }
}

#[test]
fn folders_of_windows_keep_their_rights_and_spelling_and_links_are_followed() {
    let (desk, base) = desk();
    let dockerfile = "# escape=`\nFROM base\n\
        COPY a.txt C:/windows/SYSTEM32/drivers/\n\
        COPY [\"b.txt\", \"C:/Documents and Settings/App/\"]\n\
        COPY --from=base C:/windows/system32/NET.EXE C:/tools/\n";
    fs::write(desk.path("app/Dockerfile"), dockerfile).expect("written");
    desk.ok(arguments(&base, "type=oci,tar=false,dest=out"));
    let folder = desk.path("out");
    let made = Layout(&folder).made();
    let said = |layer: usize, name: &str| {
        let member = made[layer].iter().find(|member| member.name == name);
        let records = &member.unwrap_or_else(|| panic!("no {name} in {:?}", made[layer])).records;
        (records["MSWINDOWS.fileattr"].as_str(), records["MSWINDOWS.rawsd"].as_str() == RIGHTS)
    };
    assert_eq!(said(0, "Files/Windows/"), ("16", true));
    assert_eq!(said(0, "Files/Windows/System32/"), ("22", true));
    assert_eq!(said(0, "Files/Windows/System32/drivers/"), ("16", false), "a new folder");
    assert_eq!(said(0, "Files/Windows/System32/drivers/a.txt"), ("32", false));
    assert_eq!(said(1, "Files/Users/"), ("17", true));
    assert_eq!(said(1, "Files/Users/App/b.txt"), ("32", false));
    let copied = made[2].last().expect("a file");
    assert_eq!((copied.name.as_str(), copied.text.as_str()), ("Files/tools/NET.EXE", "MZ net"));
    // Whatever goes to the root is not known to go into a folder of Windows before it is copied.
    fs::create_dir_all(desk.path("app/root/Windows")).expect("made");
    fs::write(desk.path("app/root/Windows/x"), "").expect("written");
    fs::write(desk.path("app/Dockerfile"), "FROM base\nCOPY root /\n").expect("written");
    let ended = desk.run(arguments(&base, "type=oci,tar=false,dest=no"));
    ended.fails(3, &["app/Dockerfile:2", "name C:/Windows/ as the destination"]);
}
