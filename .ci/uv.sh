# Sourced by the scripts beside it: `uv`, in an environment of its own at $work/tools, told where packages come from.
# Needs $work and $python.

export CI=true PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PIP_ROOT_USER_ACTION=ignore
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$PIP_CERT}
export UV_INDEX_STRATEGY=unsafe-best-match # as pip does: an index may have some versions only
# Beside the environments, so that files are linked into them and not copied.
export UV_CACHE_DIR=$work/cache UV_NO_PROGRESS=1

registries() { # uv does not read pip's settings, which may name where packages come from
    local setting value
    while IFS='=' read -r setting value; do
        value=${value//\'/}
        case $setting in
        global.index-url | install.index-url | :env:.index-url) export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$value} ;;
        global.extra-index-url | install.extra-index-url | :env:.extra-index-url) export UV_INDEX=${UV_INDEX:-$(tr '\n' ' ' <<<"${value//\\n/ }")} ;;
        esac
    done < <("$work/tools/bin/pip" config list 2>/dev/null || true)
}

"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install uv
registries
uv=$work/tools/bin/uv
printf -- '-- uv is there after %ds\n' "$SECONDS"
