//! `completion`: scripts that teach shells to complete our command lines.

use super::runner;
use crate::command::{Arguments, Command};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    arguments: Arguments::Exactly(1),
    ..Command::new(
        "completion",
        "Generate the autocompletion script for the specified shell (bash, fish, zsh)",
        "SHELL",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let script = match flags.argument(0) {
        "bash" => BASH,
        "zsh" => ZSH,
        "fish" => FISH,
        other => {
            return Err(Error::text(format!(
                "there are completions for bash, fish and zsh, not for {other:?}"
            )));
        }
    };
    session.print(&script.replace("PROGRAM", &session.program))
}

const BASH: &str = r#"# bash completion of PROGRAM; for example: source <(PROGRAM completion bash)
_PROGRAM_complete() {
    local IFS=$'\n' words=("${COMP_WORDS[@]:1:COMP_CWORD}") line
    # Bash takes "image:tag" apart at the colon; put it together again.
    local joined=() word glue=0
    for word in "${words[@]}"; do
        if [[ $word == : || $glue == 1 ]] && ((${#joined[@]})); then
            joined[${#joined[@]}-1]+=$word
            [[ $word == : ]] && glue=1 || glue=0
        else
            joined+=("$word")
        fi
    done
    ((${#joined[@]})) || joined=("")
    local current=${joined[${#joined[@]}-1]}
    COMPREPLY=()
    while read -r line; do
        case $line in
            :files) compopt -o default; COMPREPLY=(); return ;;
            :nospace) compopt -o nospace ;;
            *) [[ $current == *:* ]] && line=${line#"${current%"${current##*:}"}"}
               COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${joined[@]}" 2>/dev/null)
}
complete -F _PROGRAM_complete PROGRAM
"#;

const ZSH: &str = r#"#compdef PROGRAM
# zsh completion of PROGRAM; for example: source <(PROGRAM completion zsh)
_PROGRAM() {
    local -a found; local line
    for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            '') ;;
            :files) _files; return ;;
            :nospace) ;;
            *) found+=("${${line//:/\\:}/$'\t'/:}") ;;
        esac
    done
    _describe 'PROGRAM' found
}
compdef _PROGRAM PROGRAM
"#;

const FISH: &str = r#"# fish completion of PROGRAM; for example: PROGRAM completion fish | source
function __PROGRAM_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (commandline -ct)
            case ':nospace'
            case '*'
                echo $line
        end
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
"#;
