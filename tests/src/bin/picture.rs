//! `cargo picture`: the pictures of the README. Runs the demo and draws what it prints; opens the launch page and
//! takes its picture in both themes and on a telephone.

use std::process::{ExitCode, Stdio};

use anstyle_svg::Term;
use cavatica_access::platform::CAVATICA;
use cavatica_connect::release::package::VERSION;
use cavatica_generator::page::html;
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

/// The beginning of what is drawn of the demo's output.
const BEGINNING: &str = "A stack's life";

/// The name of the line with a path of this machine, which is not drawn.
const EVENTS: &str = "Events";

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
    let text = drawn(&String::from_utf8(demo.stdout)?);
    std::fs::write(root.join(PICTURE), Term::new().min_width_px(720).render_svg(&text))?;
    println!("wrote {PICTURE}");
    Ok(())
}

async fn take_page() -> Result<(), Error> {
    let (root, folder) = (Workspace::locate()?.root, tempfile::tempdir()?);
    let page = folder.path().join("launch.html");
    std::fs::write(&page, html(VERSION, &CAVATICA, Some(&at())))?;
    let shots = SHOTS.map(|(path, theme, width, height)| {
        println!("taking {path}");
        json!({"path": root.join(path), "theme": theme, "width": width, "height": height})
    });
    let input = json!({"page": format!("file://{}", page.display()), "fragment": FILLED_IN, "shots": shots});
    Browser::find().await?.run("screenshots", &input).await?;
    Ok(())
}

/// Returns what is drawn of the demo's output.
fn drawn(output: &str) -> String {
    let lines = output.lines().skip_while(|line| !line.contains(BEGINNING)).filter(|line| !line.contains(EVENTS));
    ["$ cargo demo", ""].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}
