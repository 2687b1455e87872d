# What `check`, `package` and `live` have in common: looks for the toolchain, and makes a copy of this folder with the
# development packages, since nothing may be written into the tree. `$work` is the copy, and is removed at the end.
# Sourced by bash in this folder.

cache=${SEALWRIGHT_CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sealwright-clients}

if ! command -v npm >/dev/null 2>&1 || ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null; then
    echo "missing: the TypeScript library needs Node.js 20 or later with npm"
    exit 3
fi

# The packages of package-lock.json are installed once for each version of that file and of Node.
packages=$cache/typescript-$({ cat package-lock.json; node --version; } | sha256sum | cut -c 1-16)
mkdir -p "$cache"
(
    # Of two runs at once, one installs.
    exec 9>"$cache/typescript.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    if [ ! -e "$packages/installed" ]; then
        rm -rf "$packages"
        mkdir "$packages"
        cp package.json package-lock.json "$packages"
        npm ci --prefix "$packages" --ignore-scripts --no-audit --no-fund --loglevel error >&2
        : >"$packages/installed"
    fi
    # Packages that no run has used for a month are removed.
    touch "$packages"
    find "$cache" -mindepth 1 -maxdepth 1 -type d -name 'typescript-*' -mtime +30 -exec rm -rf {} +
)

work=$(mktemp -d "${TMPDIR:-/tmp}/sealwright-typescript.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -R src test examples live-steps runtimes ./*.json ./*.md LICENSE "$work"
ln -s "$packages/node_modules" "$work/node_modules"
SEALWRIGHT_VECTORS=$(cd ../vectors && pwd)
export SEALWRIGHT_VECTORS
