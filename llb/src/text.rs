//! The text form of a graph: what people read and what tests of passes are written in.
//!
//! One vertex a line, in the manner of LLVM and Cranelift; the grammar is `grammar/llb.pest`, the vocabulary of each
//! operation is `op`. Whatever a graph can hold the text can say, and what is printed parses to the same graph.
//! Defaults are those of a frontend's vertices (constraints present and empty, mount stubs removed, copies that keep
//! mode and time), so that common vertices are short.

mod args;
mod op;
mod parse;
mod print;

use std::fmt;

pub use parse::parse;
pub use print::print;

/// Where a text is no graph, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TextError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text says all of a graph, and is the form in which the graph is printed.
    fn check(text: &str) {
        let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(print(&graph), text);
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }

    #[test]
    fn every_source_field() {
        check("%0 = source \"\"\n");
        check("%0 = source \"local://context\" attrs={\"local.session\": \"s\", \"é\": \"\"}\n");
        check("%0 = source \"docker-image://x\" platform(\"linux\", \"arm\", \"v7\")\n");
        check("%0 = source \"x\" platform(\"\", \"\", os_version=\"10\", os_features=[\"a\", \"b\"])\n");
        check(
            "%0 = source \"x\" unconstrained\n%1 = source \"x\" constraints=[\"a==b\"] lossy\n%2 = source \"x\" fixed\n",
        );
    }

    #[test]
    fn every_exec_field() {
        check("%0 = exec args=[\"a\", \"\"] env=[\"A=1\"] cwd=\"/\" user=\"u:g\" hostname=\"h\" cgroup_parent=\"p\"\n");
        check("%0 = exec proxy(http=\"a\", https=\"b\", ftp=\"c\", none=\"d\", all=\"e\") keep_mount_stubs\n");
        check(
            "%0 = exec proxy() host(\"h\", \"::1\") host(\"h\", \"\") ulimit(\"nofile\", 1, -1) valid_exit_codes=[0, -1]\n",
        );
        check(
            "%0 = exec network=host insecure secret_env(\"id\", \"A\", optional) device(\"d\") device(\"e\", optional)\n",
        );
        check("%0 = exec network=none bind(\"/\", from=0, to=0) bind(\"/b\", from=1, selector=\"/s\", readonly)\n");
        check(
            "%0 = exec tmpfs(\"/t\") tmpfs(\"/t\", size=0) cache(\"/c\", id=\"c\", sharing=locked) cache(\"/c\", sharing=private)\n",
        );
        check(
            "%0 = exec secret(\"/s\", to=0, id=\"s\", uid=1, gid=4294967295, mode=0o400, optional) ssh(\"/a\", id=\"a\")\n",
        );
        check("%0 = exec bind(\"/\", result_id=\"r\", content_cache=on) bind(\"/\", content_cache=off)\n");
    }

    #[test]
    fn every_file_action() {
        check(
            "%0 = file mkdir(\"/d\", to=0, mode=0o755, make_parents, owner(user=0, group=name(\"g\", -1)), timestamp=0)\n",
        );
        check(
            "%0 = file mkfile(\"/f\", mode=0o0, data=\"a\\n\", owner()) mkfile(\"/g\", base=#0, to=0, data=base64\"/w==\")\n",
        );
        check(
            "%0 = file rm(\"/f\", allow_not_found, allow_wildcard) symlink(\"a\", \"/b\", owner(group=1), timestamp=5)\n",
        );
        check("%0 = file\n%1 = file(%0, %0.1) copy(\"/a\", \"/b\", base=0, from=1, to=0)\n");
        check(
            "%0 = file copy(\"\", \"\", mode=-2, mode_str=\"u+x\", owner(user=1), timestamp=1, follow_symlink, dir_copy_contents)\n",
        );
        check("%0 = file copy(\"\", \"\", attempt_unpack, create_dest_path, allow_wildcard, allow_empty_wildcard)\n");
        check(
            "%0 = file copy(\"\", \"\", always_replace_existing_dest_paths, include_patterns=[\"a\"], exclude_patterns=[\"b\", \"\"], required_paths=[\"c\"])\n",
        );
    }

    #[test]
    fn every_other_operation() {
        let source = "%0 = source \"x\"\n";
        check(&format!("{source}%1 = merge(%0, %0)\n%2 = merge(%0) inputs=[0, 0]\n%3 = merge(%0) empty\n%4 = merge\n"));
        check(&format!("{source}%1 = diff(%0) lower=-1 upper=0\n%2 = diff\n"));
        check(&format!("{source}%1 = passthrough(%0) id=\"p\" outputs=[0, 0]\n%2 = passthrough\n"));
        check(&format!(
            "{source}%1 = build(%0) builder=-1 input(\"a\", 0) input(\"b\", 1) def=base64\"AA==\" attrs={{\"k\": \"v\"}}\n"
        ));
    }

    #[test]
    fn what_is_said_of_a_vertex() {
        check(
            "\
text \"a\"
text \"Dockerfile\" language=\"Dockerfile\" data=\"FROM x\\n\\u{0}\\\"\\\\\" definition {
  text \"inner\"
  %0 = source \"local://dockerfile\"
    ! description={\"llb.customname\": \"[internal]\"}
    @ 0
  output %0
    ! caps=[\"platform\"]
}
%0 = source \"x\"
  ! ignore_cache export_cache=false caps=[\"a\", \"b\"] group(\"id\", \"name\", weak)
  @ 1 1 2:3..4:5 6..7
  @ 0
%1 = source \"y\"
  ! export_cache=true resources(memory=1, memory_swap=-1, cpu_shares=2, cpu_period=3, cpu_quota=4, cpuset_cpus=\"0\", cpuset_mems=\"1\")
output %0.1 platform(\"linux\", \"amd64\")
  ! description={\"a\": \"b\"}
output scratch
",
        );
    }

    #[test]
    fn layout_is_free() {
        let text =
            "; a remark\n\n%3 = source \"x\" ; another\r\n  %7=file( %3 )rm( \"/a\" ,base=0,to = 0 )\noutput  %7";
        let graph = parse(text).unwrap();
        assert_eq!(print(&graph), "%0 = source \"x\"\n%1 = file(%0) rm(\"/a\", base=0, to=0)\noutput %1\n");
    }

    #[test]
    fn errors_name_their_place() {
        check_error("%0 = file(%1)", "line 1, column 11: %1 is not defined above");
        check_error("%1 = source \"x\"\n%1 = source \"x\"", "line 2, column 1: numbers of vertices must ascend");
        check_error(
            "\n  %0 = fetch",
            "line 2, column 8: unknown operation `fetch`: expected source, exec, file, build, merge, diff or passthrough",
        );
        check_error("%0 = source", "line 1, column 6: an identifier is missing");
        check_error("%0 = source \"x\" \"y\"", "line 1, column 17: one value too many");
        check_error("%0 = exec bind(\"/\", form=0)", "line 1, column 21: unknown or repeated `form`");
        check_error("%0 = exec network=bridge", "line 1, column 19: expected one of: host, none");
        check_error("%0 = exec secret(\"/\", uid=-1)", "line 1, column 27: number out of range");
        check_error("%0 = exec args=[1]", "line 1, column 17: expected a string");
        check_error("%0 = file cp(\"a\")", "line 1, column 11: unknown or repeated `cp`");
        check_error("@ 0", "line 1, column 1: there is no vertex above");
        check_error("! caps=[]", "line 1, column 1: there is no vertex or output above");
        check_error("%0 = source \"\\u{d800}\"", "line 1, column 14: not a character");
        check_error("%0 = source \"x", "line 1, column 15: the string does not end on its line");
        check_error(
            "%0 = source \"x\\q\"",
            "line 1, column 15: unknown escape: expected \\\", \\\\, \\n, \\r, \\t or \\u{…}",
        );
        check_error("%0 : source", "line 1, column 4: expected =");
        check_error("%0 = ", "line 1, column 6: expected a word");
        check_error("output 0", "line 1, column 8: expected %n or scratch");
        check_error(
            "%0 = exec args=",
            "line 1, column 16: expected list, map, a word, action, number, base64, or string",
        );
        check_error("%0 = exec bind(\"/\"", "line 1, column 19: expected )");
        let deep = format!("%0 = file f({}1{})", "g(".repeat(200), ")".repeat(200));
        check_error(&deep, "line 1, column 179: nested too deeply");
        check_error("%99999999999 = source \"x\"", "line 1, column 1: number out of range");
    }
}
