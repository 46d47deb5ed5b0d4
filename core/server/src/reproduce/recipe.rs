//! From what is known of a run to the commands that make its code again, and run it. Pure.
//!
//! The commands are for a POSIX shell in an empty directory. They name files of the run by URL and take the key from
//! `WANDB_API_KEY`: no secret is in them. Everything that a user chose (names, arguments, addresses) is quoted or reduced to
//! harmless characters.

use std::collections::BTreeSet;

use serde::Serialize;

use super::manifest::{Code, Manifest, Source};
use super::shell;

const BUNDLE: &str = "snapshot.bundle";
/// More single files than this are not listed: `runlane restore` fetches them.
const MAX_FILES: usize = 100;
/// Files that were left out and are named.
const NAMED: usize = 5;

/// What is known of a run.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) run: String,
    pub(super) display_name: String,
    /// Address of this server, without a slash at the end.
    pub(super) base_url: String,
    pub(super) manifest: Option<Manifest>,
    pub(super) files: BTreeSet<String>,
    /// From the machine metadata.
    pub(super) remote: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) program: Option<String>,
    pub(super) code_path: Option<String>,
    pub(super) arguments: Vec<String>,
    /// As in `CPython 3.11.7`.
    pub(super) python: Option<String>,
}

/// How to make a run again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recipe {
    /// Address of the repository.
    repository: Option<String>,
    /// The command that checks the commit out.
    git_state: Option<String>,
    steps: Vec<Step>,
    /// What the commands do not bring back.
    notes: Vec<String>,
    plan: Plan,
}

/// Commands that belong together.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    title: &'static str,
    commands: Vec<String>,
}

/// The same for a program.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    /// `remote`, `bundle`, `none` (patches alone) or `files`.
    source: &'static str,
    target: String,
    branch: String,
    remote: Option<String>,
    base: Option<String>,
    bundle: Option<String>,
    patches: Vec<String>,
    submodules: bool,
    directory: String,
    files: Vec<String>,
}

impl Facts {
    /// Makes the recipe.
    pub(super) fn recipe(&self) -> Recipe {
        let plan = self.plan();
        let git_state = plan.base.as_deref().filter(|_| plan.source == "remote");
        let git_state = git_state.map(|base| checkout(&plan.branch, base));
        let (code, notes) = self.code(&plan);
        let mut steps = Vec::new();
        let mut add = |title, commands: Vec<String>| {
            if !commands.is_empty() {
                steps.push(Step { title, commands });
            }
        };
        add("Code", code);
        add("Environment", self.environment(&plan));
        add("Run", self.run(&plan));
        Recipe {
            repository: plan.remote.clone(),
            git_state,
            steps,
            notes,
            plan,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains(name)
    }

    /// Where the code comes from: as the client says, or, for a run without its word, as W&B's clients leave it.
    fn plan(&self) -> Plan {
        let remote = self
            .remote
            .clone()
            .filter(|remote| shell::is_remote(remote));
        let manifest = self.manifest.clone().unwrap_or_default();
        let code = match (&self.manifest, &remote) {
            (Some(manifest), _) => manifest.code.clone(),
            (None, Some(_)) => self.known_of_others(),
            (None, None) => None,
        };
        let branch = shell::branch(&self.display_name, &self.run);
        let directory = if manifest.directory.is_empty() {
            ".".to_owned()
        } else {
            manifest.directory
        };
        let Some(code) = code else {
            let files = self.files.iter().filter(|name| name.starts_with("code/"));
            return Plan {
                source: "files",
                target: shell::directory(None, &self.project),
                branch,
                directory,
                files: files.cloned().collect(),
                ..Plan::default()
            };
        };
        let remote = code.remote.or(remote);
        Plan {
            source: match code.source {
                Source::Remote => "remote",
                Source::Bundle => "bundle",
                Source::None => "none",
            },
            target: shell::directory(remote.as_deref(), &self.project),
            branch,
            bundle: (code.source == Source::Bundle).then(|| BUNDLE.to_owned()),
            base: code.base,
            remote,
            patches: code.patches,
            submodules: code.submodules,
            directory,
            files: Vec::new(),
        }
    }

    /// W&B's clients save `diff.patch` against HEAD, and `diff_<commit>.patch` against a commit that is surely at the remote.
    fn known_of_others(&self) -> Option<Code> {
        let upstream = self.files.iter().find_map(|name| {
            let commit = name
                .strip_prefix("diff_")
                .or(name.strip_prefix("upstream_diff_"));
            let commit = commit?.strip_suffix(".patch")?;
            shell::is_commit(commit).then(|| (commit.to_owned(), name.clone()))
        });
        let (base, patches) = if let Some((commit, patch)) = upstream {
            (commit, vec![patch])
        } else {
            let patch = "diff.patch".to_owned();
            let patches = self.has(&patch).then_some(patch).into_iter().collect();
            (self.commit.clone()?, patches)
        };
        shell::is_commit(&base).then_some(Code {
            source: Source::Remote,
            remote: None,
            base: Some(base),
            patches,
            submodules: false,
        })
    }

    fn url(&self, name: &str) -> String {
        let segments = [
            "api",
            "runs",
            &self.entity,
            &self.project,
            &self.run,
            "files",
        ];
        let path = segments.into_iter().chain(name.split('/')).map(encoded);
        let path: Vec<String> = path.collect();
        format!("{}/{}", self.base_url, path.join("/"))
    }

    /// The command that prints a file of the run, or stores it.
    fn fetch(&self, name: &str, to: Option<&str>) -> String {
        let to = to.map(|path| format!(" --create-dirs -o {}", shell::word(path)));
        format!(
            "curl -fsS -u \"api:$WANDB_API_KEY\"{} {}",
            to.unwrap_or_default(),
            shell::word(&self.url(name))
        )
    }

    fn code(&self, plan: &Plan) -> (Vec<String>, Vec<String>) {
        let mut commands = Vec::new();
        let mut notes = Vec::new();
        let target = shell::word(&plan.target);
        match plan.source {
            "remote" => {
                let remote = plan.remote.as_deref().unwrap_or_default();
                commands.push(format!("git clone {} {target}", shell::word(remote)));
                commands.push(format!("cd {target}"));
            }
            "bundle" => {
                commands.push(self.fetch(BUNDLE, Some(BUNDLE)));
                commands.push(format!("git clone {BUNDLE} {target}"));
                commands.push(format!("cd {target}"));
            }
            "none" => {
                commands.push(format!("git init {target}"));
                commands.push(format!("cd {target}"));
            }
            _ if plan.files.is_empty() => {
                notes.push("The run saved no code: `init(save_code=True)` does.".to_owned());
            }
            _ => {
                commands.push(format!("mkdir {target}"));
                commands.push(format!("cd {target}"));
                for name in plan.files.iter().take(MAX_FILES) {
                    let path = name.strip_prefix("code/").unwrap_or(name);
                    commands.push(self.fetch(name, Some(path)));
                }
                if plan.files.len() > MAX_FILES {
                    notes.push(format!(
                        "{} more files: `runlane restore` fetches all of them.",
                        plan.files.len() - MAX_FILES
                    ));
                }
            }
        }
        if let Some(base) = plan.base.as_deref() {
            commands.push(checkout(&plan.branch, base));
        }
        if plan.submodules {
            commands.push("git submodule update --init --recursive".to_owned());
        }
        for patch in &plan.patches {
            if self.has(patch) {
                let fetch = self.fetch(patch, None);
                commands.push(format!("{fetch} | git apply --whitespace=nowarn"));
            } else {
                notes.push(format!("`{patch}` is not uploaded (yet)."));
            }
        }
        self.add_notes(plan, &mut notes);
        (commands, notes)
    }

    fn add_notes(&self, plan: &Plan, notes: &mut Vec<String>) {
        if self.manifest.is_none() && plan.source == "remote" && plan.patches.is_empty() {
            notes.push("Uncommitted changes are not part of it, if there were any: `init(save_code=True)` saves them.".to_owned());
        } else if self.manifest.is_none() && plan.source == "remote" {
            notes
                .push("Untracked files and changes of binary files are not part of it.".to_owned());
        }
        let left_out = self
            .manifest
            .as_ref()
            .map_or(&[][..], |manifest| &manifest.left_out);
        if !left_out.is_empty() {
            let named: Vec<String> = left_out
                .iter()
                .take(NAMED)
                .map(|file| format!("{} ({})", file.path, file.reason))
                .collect();
            let more = left_out.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            notes.push(format!(
                "Untracked files that were not saved: {}{more}.",
                named.join(", ")
            ));
        }
        if self
            .arguments
            .iter()
            .any(|argument| argument.contains("[redacted]"))
        {
            notes.push("Arguments that look like secrets were not saved.".to_owned());
        }
    }

    fn environment(&self, plan: &Plan) -> Vec<String> {
        let mut commands = Vec::new();
        let venv = shell::word(&format!("../{}-env", plan.target));
        if self.has("uv.lock") {
            if plan.source == "files" {
                let files = ["uv.lock", "pyproject.toml", ".python-version"];
                let known = files.into_iter().filter(|name| self.has(name));
                commands.extend(known.map(|name| self.fetch(name, Some(name))));
            }
            commands.push("uv sync --frozen".to_owned());
            commands.push(". .venv/bin/activate".to_owned());
        } else if self.has("conda-environment.yaml") {
            let file = "../conda-environment.yaml";
            commands.push(self.fetch("conda-environment.yaml", Some(file)));
            commands.push(format!("conda env create -p {venv} -f {file}"));
            commands.push(format!("conda activate {venv}"));
        } else if self.has("requirements.txt") {
            commands.push(format!("{} -m venv {venv}", self.interpreter()));
            commands.push(format!(". {venv}/bin/activate"));
            let fetch = self.fetch("requirements.txt", None);
            commands.push(format!("{fetch} | pip install -r /dev/stdin"));
        }
        commands
    }

    /// `python3.11`, from `CPython 3.11.7`.
    fn interpreter(&self) -> String {
        let version = self.python.as_deref().unwrap_or_default();
        let version = version.rsplit(' ').next().unwrap_or_default();
        let mut parts = version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => format!("python{major}.{minor}"),
            _ => "python3".to_owned(),
        }
    }

    fn run(&self, plan: &Plan) -> Vec<String> {
        let manifest = self.manifest.as_ref();
        let module = manifest.and_then(|manifest| manifest.module.clone());
        let notebook = manifest.and_then(|manifest| manifest.notebook.clone());
        let program = match manifest {
            Some(manifest) => manifest.program.clone(),
            // Without a word about the directory the path from the root of the code is the one that is sure.
            None => self.code_path.clone().or_else(|| self.program.clone()),
        };
        let program = program.filter(|program| !program.starts_with('<'));
        let mut words = match (notebook, module, program) {
            (Some(notebook), _, _) => vec!["jupyter".to_owned(), "lab".to_owned(), notebook],
            (None, Some(module), _) => vec!["python".to_owned(), "-m".to_owned(), module],
            (None, None, Some(program)) if program.starts_with("-m ") => {
                let module = program.trim_start_matches("-m ").to_owned();
                vec!["python".to_owned(), "-m".to_owned(), module]
            }
            (None, None, Some(program)) if is_notebook(&program) => {
                vec!["jupyter".to_owned(), "lab".to_owned(), program]
            }
            (None, None, Some(program)) => vec!["python".to_owned(), program],
            (None, None, None) => return Vec::new(),
        };
        if words[0] == "python" {
            words.extend(self.arguments.iter().cloned());
        }
        let words: Vec<String> = words.iter().map(|text| shell::word(text)).collect();
        let mut commands = Vec::new();
        if plan.directory != "." {
            commands.push(format!("cd {}", shell::word(&plan.directory)));
        }
        commands.push(words.join(" "));
        commands
    }
}

fn checkout(branch: &str, base: &str) -> String {
    format!("git checkout -b \"{branch}\" {base}")
}

fn is_notebook(program: &str) -> bool {
    let extension = std::path::Path::new(program).extension();
    extension.is_some_and(|extension| extension == "ipynb")
}

/// A segment of a URL's path.
fn encoded(segment: &str) -> String {
    let byte_text = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    segment.bytes().map(byte_text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn facts(files: &[&str], manifest: Option<Value>) -> Facts {
        Facts {
            entity: "me".to_owned(),
            project: "my proj".to_owned(),
            run: "r1".to_owned(),
            display_name: "good run".to_owned(),
            base_url: "http://h:1".to_owned(),
            files: files.iter().map(|name| (*name).to_owned()).collect(),
            manifest: manifest.and_then(|value| Manifest::parse(value.to_string().as_bytes())),
            ..Facts::default()
        }
    }

    fn commands(facts: &Facts) -> Vec<String> {
        let steps = facts.recipe().steps.into_iter();
        steps.flat_map(|step| step.commands).collect()
    }

    #[test]
    fn a_commit_of_the_remote_is_cloned_and_patched() {
        let base = "a".repeat(40);
        let manifest = json!({"version": 1, "directory": "src", "program": "train it.py",
            "left_out": [{"path": "big.bin", "bytes": 9, "reason": "size"}],
            "code": {"source": "remote", "remote": "git@h:g/x.git", "base": base, "submodules": true,
                     "patches": ["diff.patch", "untracked.patch"]}});
        let mut facts = facts(&["diff.patch", "requirements.txt"], Some(manifest));
        facts.arguments = ["--lr", "0.1", "a b"].map(str::to_owned).to_vec();
        facts.python = Some("CPython 3.11.7".to_owned());
        let recipe = facts.recipe();
        assert_eq!(recipe.repository.as_deref(), Some("git@h:g/x.git"));
        let state = format!("git checkout -b \"good-run\" {base}");
        assert_eq!(recipe.git_state.as_deref(), Some(state.as_str()));
        let curl = "curl -fsS -u \"api:$WANDB_API_KEY\"";
        let url = "http://h:1/api/runs/me/my%20proj/r1/files";
        assert_eq!(
            commands(&facts),
            [
                "git clone git@h:g/x.git x".to_owned(),
                "cd x".to_owned(),
                state,
                "git submodule update --init --recursive".to_owned(),
                format!("{curl} {url}/diff.patch | git apply --whitespace=nowarn"),
                "python3.11 -m venv ../x-env".to_owned(),
                ". ../x-env/bin/activate".to_owned(),
                format!("{curl} {url}/requirements.txt | pip install -r /dev/stdin"),
                "cd src".to_owned(),
                "python 'train it.py' --lr 0.1 'a b'".to_owned(),
            ]
        );
        assert_eq!(
            recipe.notes,
            [
                "`untracked.patch` is not uploaded (yet).",
                "Untracked files that were not saved: big.bin (size)."
            ]
        );
    }

    #[test]
    fn a_tree_without_a_remote_comes_from_its_bundle_or_its_patches() {
        let base = "b".repeat(40);
        let with = |code: Value| {
            let manifest =
                json!({"version": 1, "directory": ".", "module": "pkg.train", "code": code});
            commands(&facts(&[BUNDLE, "diff.patch"], Some(manifest)))
        };
        let bundle = with(json!({"source": "bundle", "base": base}));
        assert!(bundle[0].ends_with("files/snapshot.bundle"), "{bundle:?}");
        let then = ["git clone snapshot.bundle my-proj", "cd my-proj"];
        assert_eq!(bundle[1..3], then);
        assert_eq!(bundle.last().expect("a command"), "python -m pkg.train");
        let none = with(json!({"source": "none", "patches": ["diff.patch"]}));
        assert_eq!(none[..2], ["git init my-proj", "cd my-proj"]);
        assert!(none[2].ends_with("git apply --whitespace=nowarn"));
    }

    #[test]
    fn runs_of_other_clients_are_read_from_what_they_leave() {
        let (base, upstream) = ("a".repeat(40), format!("diff_{}.patch", "c".repeat(40)));
        let mut known = facts(&["diff.patch", &upstream], None);
        (known.remote, known.commit) = (Some("https://h/x.git".to_owned()), Some(base.clone()));
        known.code_path = Some("src/train.py".to_owned());
        let found = commands(&known);
        assert!(found[2].ends_with(&"c".repeat(40)), "{found:?}");
        assert!(found[3].contains("/diff_cc"));
        assert_eq!(found[4], "python src/train.py");
        known.files.remove(&upstream);
        assert!(commands(&known)[2].ends_with(&base));
        known.files.clear();
        assert!(known.recipe().notes[0].contains("save_code=True"));
        known.remote = Some("--upload-pack=evil".to_owned());
        assert!(known.recipe().repository.is_none());
    }

    #[test]
    fn without_a_repository_single_files_are_fetched() {
        let manifest = json!({"version": 1, "directory": ".", "program": "a/train.py"});
        let known = facts(
            &["code/a/train.py", "uv.lock", "pyproject.toml"],
            Some(manifest),
        );
        let found = commands(&known);
        assert_eq!(found[..2], ["mkdir my-proj", "cd my-proj"]);
        assert!(
            found[2].contains("--create-dirs -o a/train.py"),
            "{found:?}"
        );
        assert_eq!(
            found[5..],
            [
                "uv sync --frozen",
                ". .venv/bin/activate",
                "python a/train.py"
            ]
        );
        assert!(facts(&[], None).recipe().notes[0].contains("saved no code"));
    }
}
