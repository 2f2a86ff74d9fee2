//! `cargo picture`: the pictures of the README. Runs the demo and draws what it prints, shortened; opens the launch page and
//! takes its picture in both themes and on a telephone.

use std::process::{ExitCode, Stdio};

use anstyle_svg::Term;
use cavatica_connect::page::html;
use cavatica_connect::release::package::VERSION;
use cavatica_local::workspace::Workspace;
use cavatica_tests::Error;
use cavatica_tests::browser::{Browser, at};
use serde_json::json;
use tokio::process::Command;

/// The picture, from the top of the checkout.
const PICTURE: &str = "tests/pictures/demo.svg";

/// The pictures of the launch page, with theme, width and height in pixels.
const SHOTS: [(&str, &str, u32, u32); 3] = [
    ("tests/pictures/page-light.png", "light", 1_100, 1_240),
    ("tests/pictures/page-dark.png", "dark", 1_100, 1_240),
    ("tests/pictures/page-phone.png", "light", 360, 1_010),
];

/// The state of the page in the pictures.
const FILLED_IN: &str = "#BucketName=genomics-lab-data&Prefix=raw/2026&stack=cavatica-volume-k3x9ab";

/// A part of the demo that is drawn.
struct Part {
    /// The beginning of its title.
    title: &'static str,
    /// Lines with one of these are left out.
    without: &'static [&'static str],
    /// Lines that are drawn of the rest: the first ones and the last ones.
    first: usize,
    last: usize,
}

/// The end of a line that says what goes on.
const WAITING: &str = " …";

const PARTS: [Part; 5] = [
    Part { title: "Create: ", without: &[WAITING, "_IN_PROGRESS"], first: 10, last: 10 },
    Part { title: "What the administrator copies", without: &[], first: 4, last: 2 },
    Part { title: "The difference", without: &[], first: 13, last: 4 },
    Part { title: "Delete\u{1b}", without: &[WAITING, "DELETE_"], first: 10, last: 10 },
    Part { title: "Done", without: &[], first: 20, last: 1 },
];

#[tokio::main]
async fn main() -> ExitCode {
    match draw_demo().await.and(take_page().await) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn draw_demo() -> Result<(), Error> {
    let root = Workspace::locate()?.root;
    let demo = Command::new("cargo")
        .arg("demo")
        .current_dir(&root)
        .env("CLICOLOR_FORCE", "1")
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !demo.status.success() {
        return Err("the demo failed: see what it says above".into());
    }
    let text = shortened(&String::from_utf8(demo.stdout)?);
    std::fs::write(root.join(PICTURE), Term::new().min_width_px(720).render_svg(&text))?;
    println!("wrote {PICTURE}");
    Ok(())
}

async fn take_page() -> Result<(), Error> {
    let (root, folder) = (Workspace::locate()?.root, tempfile::tempdir()?);
    let page = folder.path().join("launch.html");
    std::fs::write(&page, html(VERSION, Some(&at())))?;
    let shots = SHOTS.map(|(path, theme, width, height)| {
        println!("taking {path}");
        json!({"path": root.join(path), "theme": theme, "width": width, "height": height})
    });
    let input = json!({"page": format!("file://{}", page.display()), "fragment": FILLED_IN, "shots": shots});
    Browser::find().await?.run("screenshots", &input).await?;
    Ok(())
}

/// The demo's output without the parts and lines that are not drawn; what is missing shows as an ellipsis.
fn shortened(output: &str) -> String {
    let mut drawn = vec!["$ cargo demo".to_owned()];
    for printed in output.split("\n\u{1b}[1m").skip(1) {
        let Some(part) = PARTS.iter().find(|part| printed.starts_with(part.title)) else { continue };
        let (title, body) = printed.split_once('\n').unwrap_or((printed, ""));
        let body = body.lines().filter(|line| !line.is_empty() && !part.without.iter().any(|word| line.contains(word)));
        let body: Vec<_> = body.map(str::to_owned).collect();
        drawn.push(format!("\n\u{1b}[1m{title}"));
        if body.len() <= part.first + part.last {
            drawn.extend(body);
        } else {
            drawn.extend_from_slice(&body[..part.first]);
            drawn.push("    ⋮".to_owned());
            drawn.extend_from_slice(&body[body.len() - part.last..]);
        }
    }
    drawn.join("\n")
}
