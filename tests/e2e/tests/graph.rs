//! `llbc graph` in a browser: the page draws each level, and what it draws can be read.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Sandbox, process};
use serde_json::Value;

const BROWSER: &str = "chromium --headless --no-sandbox --disable-gpu --user-data-dir=profile --window-size=1200,900";

/// Two stages side by side, names that are too long for a box, and copies that only `-O2` makes one.
const DOCKERFILE: &str = "FROM base AS tools\nRUN echo a step with a name that is much too long for any box it might be drawn in > /tools\n\
     FROM base AS build\nWORKDIR /src\nCOPY a.txt ./\nCOPY dir dir/\nRUN cat a.txt > all\n\
     FROM scratch\nCOPY --link --from=tools /tools /\nCOPY --from=build /src/all /x/\n";

/// Turns to each level as a user does, and measures what is shown: boxes, boxes that overlap, and texts that do not fit.
const LOOK: &str = r#"<script>
document.title = JSON.stringify(["o0", "o1", "o2"].map(level => {
  document.querySelector(`label[for=${level}]`).click();
  const shown = [...document.querySelectorAll("section")].filter(section => section.getBoundingClientRect().height > 0);
  const groups = shown.flatMap(section => [...section.querySelectorAll("g")]);
  const place = (group, name) => group.querySelector(name).getBoundingClientRect();
  const boxes = groups.map(group => place(group, "rect")).filter(box => box.width > 0 && box.height > 0);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const overlaps = boxes.filter((box, index) => boxes.slice(index + 1).some(other => meet(box, other)));
  const outside = groups.filter(group => place(group, "text").right > place(group, "rect").right);
  return { sections: shown.length, boxes: boxes.length, overlaps: overlaps.length, outside: outside.length };
}));
</script>"#;

#[test]
fn a_browser_draws_every_level() {
    if !e2e::have(&["busybox", "chromium"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    sandbox.write("a.txt", "a\n");
    sandbox.write("dir/c.txt", "c\n");
    sandbox.write("Dockerfile", DOCKERFILE);
    let page = sandbox.succeed(sandbox.llbc().args(["graph", "Dockerfile"])).out();
    for outside in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "the page is not alone: {outside}");
    }
    sandbox.write("page.html", &page);
    sandbox.write("looked.html", &page.replace("</body>", &format!("{LOOK}</body>")));
    sandbox.write("blank.html", "<!DOCTYPE html><title>blank</title>");

    let dom = sandbox.succeed(&mut sandbox.shell(&format!("{BROWSER} --dump-dom looked.html"))).out();
    let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).unwrap().0;
    let seen: Vec<Value> = serde_json::from_str(title).unwrap_or_else(|_| panic!("the script did not run: {title}"));
    let count = |level: &Value, key: &str| level[key].as_u64().unwrap();
    for level in &seen {
        assert_eq!(count(level, "sections"), 1, "one level at a time: {title}");
        assert_eq!((count(level, "overlaps"), count(level, "outside")), (0, 0), "{title}");
    }
    let boxes: Vec<u64> = seen.iter().map(|level| count(level, "boxes")).collect();
    assert!(boxes[0] >= 8 && boxes[2] < boxes[0], "{boxes:?}");

    // A picture of it is not that of an empty page.
    let shoot = |name: &str| {
        sandbox.succeed(&mut sandbox.shell(&format!("{BROWSER} --screenshot={name}.png {name}.html")));
        std::fs::read(sandbox.directory().join(format!("{name}.png"))).unwrap()
    };
    let [picture, blank] = ["page", "blank"].map(shoot);
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 4 * blank.len(), "{} bytes", picture.len());
    process::say(&format!("a picture of {} bytes; an empty page has {}", picture.len(), blank.len()));
}
