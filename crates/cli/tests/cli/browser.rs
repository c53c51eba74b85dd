//! The page of a comparison in a real browser.

use crate::place::Place;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The names that the browser goes by.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser of this machine. `cargo xtask test` installs one where it can.
fn browser() -> Option<&'static str> {
    let found =
        |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success());
    BROWSERS.iter().find(found).copied()
}

/// What a page looks like in a window: its document after all scripts ran.
fn document(browser: &str, page: &Path, width: u32, profile: &Path) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Says into the document's title how wide the page is, and what in it has no size.
const PROBE: &str = "<script>
    const none = [...document.querySelectorAll('h1, .answer, .methods td, svg, .confusion td')]
        .filter(part => part.textContent.trim() && !part.getBoundingClientRect().width).length;
    document.title = [document.documentElement.scrollWidth, innerWidth, none,
        document.querySelectorAll('svg').length].join(' ');
</script>";

#[test]
fn the_page_fits_a_phone_and_a_desk() {
    let Some(browser) = browser() else {
        eprintln!("not tested: there is no browser here");
        return;
    };
    let place = Place::new();
    place
        .run("compare rows.csv --model model --threads 1 --methods head,lora,ia3 --seeds 0,1 --epochs 4 --output out")
        .ok();
    let page = place.read("out/report.html");
    fs::write(place.path("probe.html"), page.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    for width in [390, 1280] {
        let seen = document(browser, &place.path("probe.html"), width, &place.path("profile"));
        let title = seen.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap();
        let numbers: Vec<u32> = title.split(' ').map(|number| number.parse().unwrap()).collect();
        let [page_width, window, without_size, drawings] = numbers[..] else { panic!("{title}") };
        assert!(page_width <= window, "{page_width} wide in a window of {window}");
        assert_eq!((without_size, drawings), (0, 6), "in a window of {window}");
    }
    for name in ["quality-parameters", "quality-time", "quality-memory", "curve-lora"] {
        assert!(place.read(&format!("out/plots/{name}.svg")).starts_with("<svg xmlns="), "{name}");
    }
    // Of runs that exist, also together.
    place.train("--method bitfit --epochs 2 --output one").ok();
    place.run("report out one --output both").ok();
    let both = place.read("both/report.html");
    assert!(both.contains("bitfit") && both.contains("ia3") && both.contains("--methods ia3"));
    place.run("report model").fails(1, &["report.json", "offshoot compare"]);
}
