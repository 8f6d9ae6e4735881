//! Mockerfile: images with packages, and with files from the web. Mirrors r2d4/mockerfile of 2018.
//!
//! What is other than there: all images are there to be built, not the first alone; `install` commands of a download run in the
//! image, where what they install stays; an archive is unpacked into its place even where that is a directory already.

use super::yaml::Node;
use super::{Reader, Wrong, list, string};

/// The spec of a document.
pub(super) fn spec(document: &Node) -> Result<String, Vec<Wrong>> {
    let (mut sources, mut rest, mut wrong) = (String::new(), String::new(), Vec::new());
    let mut reader = Reader::new(document);
    let _ = reader.text("apiVersion");
    match reader.take("images") {
        Some(images) => match images.items() {
            Some([]) => wrong.push((document.at.clone(), "there is no image".to_owned())),
            Some(images) => {
                for (at, image) in images.iter().enumerate() {
                    self::image(at, image, &mut sources, &mut rest, &mut wrong);
                }
            }
            None => wrong.push((images.at.clone(), "images is no list".to_owned())),
        },
        None => wrong.push((document.at.clone(), "there is no image".to_owned())),
    }
    reader.finish(&mut wrong);
    if wrong.is_empty() {
        Ok(format!("spec = 1\n[default]\nnetwork = \"default\"\n{sources}{rest}"))
    } else {
        Err(wrong)
    }
}

fn image(at: usize, node: &Node, sources: &mut String, rest: &mut String, wrong: &mut Vec<Wrong>) {
    let mut reader = Reader::new(node);
    let name = reader.text("name").unwrap_or_else(|| if at == 0 { "image".to_owned() } else { format!("image-{at}") });
    let from = reader.text("from");
    let workdir = reader.text("workdir").unwrap_or_else(|| "/".to_owned());
    let mut steps: Vec<String> = Vec::new();
    let (mut before, mut packages) = (None, String::new());
    if let Some(package) = reader.take("package") {
        let mut reader = Reader::new(package);
        let repositories = reader.take("repo").and_then(Node::items).unwrap_or_default();
        let (keys, install) = (reader.texts("gpg"), reader.texts("install"));
        for (number, key) in keys.iter().enumerate() {
            *sources += &format!("[source.{}]\nhttp = {}\n", string(&format!("{name}-key-{number}")), string(key));
        }
        let mut lines = Vec::new();
        for (number, line) in repositories.iter().enumerate() {
            match line.text().and_then(|line| repository(&name, number, line, &keys)) {
                Some(line) => lines.push(line),
                None => reader.wrong.push((
                    line.at.clone(),
                    "not a line of a list of sources: deb [arch=ARCH] ADDRESS SUITE COMPONENT".to_owned(),
                )),
            }
        }
        if !lines.is_empty() {
            // What fetches lists from addresses with certificates must be there before.
            before = Some("apt.install = [\"apt-transport-https\", \"ca-certificates\"]\n");
            packages += &format!("apt.repo = [{}]\n", lines.join(", "));
        }
        if !install.is_empty() {
            packages += &format!("apt.install = {}\n", list(&install));
        }
        reader.finish(wrong);
    }
    for (number, external) in reader.take("external").and_then(Node::items).unwrap_or_default().iter().enumerate() {
        self::external(&format!("{name}-file-{number}"), external, sources, &mut steps, wrong);
    }
    steps.extend(reader.texts("steps").iter().map(|step| format!("{{ run = {} }}", string(step))));
    reader.finish(wrong);
    let Some(from) = from else { return wrong.push((node.at.clone(), "from is missing".to_owned())) };
    let mut base = string(&from);
    if let Some(before) = before {
        *rest += &format!("[stage.{}]\nfrom = {base}\n{before}", string(&format!("{name}-base")));
        base = string(&format!("stage.{name}-base"));
    }
    *rest += &format!(
        "[image.{}]\nfrom = {base}\nworkdir = {}\ncmd = [\"ls\"]\n{packages}step = [{}]\n",
        string(&name),
        string(&workdir),
        steps.join(", ")
    );
}

/// `deb [arch=amd64] URI SUITE COMPONENT…` as a repository; its key is that of the same host, else that in the same place.
fn repository(name: &str, number: usize, line: &str, keys: &[String]) -> Option<String> {
    let line = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, line) = match line.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", line),
    };
    let mut words = line.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let components: Vec<String> = words.map(str::to_owned).collect();
    let host = |address: &str| address.split('/').nth(2).map(str::to_owned);
    let key = keys.iter().position(|key| host(key) == host(uri)).or((number < keys.len()).then_some(number));
    let arch: Vec<String> = options
        .split_whitespace()
        .filter_map(|option| option.strip_prefix("arch="))
        .flat_map(|arch| arch.split(','))
        .map(str::to_owned)
        .collect();
    let mut text = format!("{{ uri = {}, suite = {}, components = {}", string(uri), string(suite), list(&components));
    if !arch.is_empty() {
        text += &format!(", arch = {}", list(&arch));
    }
    if let Some(key) = key {
        text += &format!(", key = {}", string(&format!("{name}-key-{key}")));
    }
    Some(text + " }")
}

fn external(name: &str, node: &Node, sources: &mut String, steps: &mut Vec<String>, wrong: &mut Vec<Wrong>) {
    let mut reader = Reader::new(node);
    let (src, dst, sha256) = (reader.text("src"), reader.text("dst"), reader.text("sha256"));
    let install = reader.texts("install");
    reader.finish(wrong);
    let (Some(src), Some(dst)) = (src, dst) else {
        return wrong.push((node.at.clone(), "a download needs src and dst".to_owned()));
    };
    let is_archive = src.ends_with(".tar.gz");
    *sources += &format!("[source.{}]\nhttp = {}\n", string(name), string(&src));
    *sources += if is_archive { "unpack = true\n" } else { "mode = \"0755\"\n" };
    if let Some(sum) = sha256 {
        *sources += &format!("sha256 = {}\n", string(&sum));
    }
    let to = if is_archive { format!("{}/", dst.trim_end_matches('/')) } else { dst };
    steps.push(format!("{{ copy = {}, to = {} }}", string(name), string(&to)));
    if !install.is_empty() {
        steps.push(format!("{{ run = {} }}", string(&install.join(" && "))));
    }
}
