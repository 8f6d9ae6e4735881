// Joins the sources into one file and writes a list of what went in.
const fs = require("fs");

const version = fs.readFileSync("version", "utf8").trim();
const files = fs.readdirSync("src").filter((name) => !name.endsWith(".test.js")).sort();
const bodies = files.map((name) => `// ${name}\n` + fs.readFileSync(`src/${name}`, "utf8"));
fs.mkdirSync("dist/assets", { recursive: true });
fs.writeFileSync("dist/shop.js", `// shop ${version}\n` + bodies.join("\n"));
fs.writeFileSync("dist/assets/files.json", JSON.stringify(files) + "\n");
fs.symlinkSync("shop.js", "dist/latest.js");
