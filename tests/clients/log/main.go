// Checks the tamper-evident log of a running server over HTTP, with programs that are not ours. Runs
// one check, by its name in tests/clients/table.
package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// More than a full tile of entries.
	agents = 300
	tokens = 20
	// The bcrypt hash of no agent's secret.
	hash = "$2b$04$abcdefghijklmnopqrstuuW1pS1P6qU7GyP4hQXKZq8r6cVQZQZ8W"
)

var (
	issuer  = os.Getenv("ISSUER")
	api     = issuer + "/api/v1"
	auditor string
)

func main() {
	auditor = bearer(agent("audit:read admin:orgs"))
	switch os.Args[1] {
	case "tlog":
		checkLog()
		fmt.Printf("%s: note and tlog read the log over HTTP: signed checkpoints, every entry in its tile, consistency, and the proofs of events and tokens\n", version("client"))
	case "fsck":
		checkWithFsck()
		fmt.Printf("%s: `fsck` accepts the log over HTTP, at both of its addresses\n", version("fsck"))
	}
}

// The version of the other authors' module in a program that the kit has built.
func version(program string) string {
	build, err := buildinfo.ReadFile(filepath.Join(os.Getenv("RUN"), program))
	must(err)
	for _, module := range append(build.Deps, &build.Main) {
		if module.Path == "golang.org/x/mod" && program == "client" || module.Path == "github.com/transparency-dev/tessera" && program == "fsck" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	must(fmt.Errorf("no other author's module is in %s", program))
	return ""
}

func checkLog() {
	verifier, err := note.NewVerifier(strings.TrimSpace(run("audit", "key")))
	must(err)
	waitUntilLogged()
	_, early := checkpoint(verifier)
	makeEvents()
	signed, tree := checkpoint(verifier)
	expect("the log has grown", tree.N > early.N && tree.N > 256, true)

	hashes := tlog.TileHashReader(tree, tiles{})
	var leaves []tlog.Hash
	for at := int64(0); at < tree.N; at += 256 {
		bundle := tlog.Tile{H: 8, L: 0, N: at / 256, W: int(min(256, tree.N-at))}
		path := strings.Replace(bundle.Path(), "tile/8/0/", "tile/entries/", 1)
		for rest := get("/audit/log/1/"+path, 200); len(rest) > 0; {
			length := 2 + int(binary.BigEndian.Uint16(rest))
			leaves = append(leaves, tlog.RecordHash(rest[2:length]))
			rest = rest[length:]
		}
	}
	expect("entries", int64(len(leaves)), tree.N)
	var indexes []int64
	for index := range leaves {
		indexes = append(indexes, tlog.StoredHashIndex(0, int64(index)))
	}
	stored, err := hashes.ReadHashes(indexes)
	must(err)
	for index, leaf := range leaves {
		expect("leaf", stored[index], leaf)
	}
	proof, err := tlog.ProveTree(tree.N, early.N, hashes)
	must(err)
	must(tlog.CheckTree(proof, tree.N, tree.Hash, early.N, early.Hash))
	checkProofs(signed, verifier, leaves)
}

// Proofs of events, as the server gives them, with the entries of the log.
func checkProofs(signed []byte, verifier note.Verifier, leaves []tlog.Hash) {
	var page struct {
		Data []struct {
			Event json.RawMessage
		}
	}
	blocks := map[int64]bool{}
	for _, filter := range []string{"kind=token.issued", "kind=agent.*"} {
		must(json.Unmarshal(get("/audit?limit=20&"+filter, 200), &page))
		expect("events are found", len(page.Data) > 5, true)
		for _, found := range page.Data {
			var event struct {
				ID   int64
				Kind string
			}
			must(json.Unmarshal(found.Event, &event))
			head, rest, _ := bytes.Cut(get(fmt.Sprintf("/audit/%d/proof", event.ID), 200), []byte("\n\n"))
			tree := open(rest, verifier)
			lines := strings.Split(string(head), "\n")
			expect("format", lines[0], "c2sp.org/tlog-proof@v1")
			lines = lines[1:]
			var extra struct {
				Event json.RawMessage
				Index int64
				Path  []string
			}
			isToken := event.Kind == "token.issued"
			if isToken {
				decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[0], "extra "))
				must(err)
				must(json.Unmarshal(decoded, &extra))
				expect("the event of the proof", string(extra.Event), string(found.Event))
				lines = lines[1:]
			}
			index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
			must(err)
			leaf := leaves[index]
			must(tlog.CheckRecord(tlog.RecordProof(parse(lines[1:])), tree.N, tree.Hash, index, leaf))
			if !isToken {
				expect("the entry is the event", tlog.RecordHash(found.Event), leaf)
				continue
			}
			blocks[index] = true
			var block struct {
				Count int64
				Root  string
			}
			entry := entry(index)
			expect("the block is the entry", tlog.RecordHash(entry), leaf)
			must(json.Unmarshal(entry, &block))
			root, err := tlog.ParseHash(block.Root)
			must(err)
			must(tlog.CheckRecord(tlog.RecordProof(parse(extra.Path)), block.Count, root, extra.Index, tlog.RecordHash(extra.Event)))
		}
	}
	expect("tokens are in blocks", len(blocks) > 0, true)
}

func checkWithFsck() {
	makeEvents()
	key := filepath.Join(os.TempDir(), "key")
	must(os.WriteFile(key, []byte(strings.TrimSpace(run("audit", "key"))), 0o600))
	for _, address := range []string{"/audit/log/", "/audit/log/1/"} {
		fsck := exec.Command(filepath.Join(os.Getenv("RUN"), "fsck"), "--storage_url="+api+address, "--public_key="+key, "--bearer_token="+auditor, "--ui=false")
		var said bytes.Buffer
		fsck.Stdout, fsck.Stderr = &said, &said
		must(fsck.Start())
		// It asks for ever for a tile that does not fit, and exits with 0 even when it failed.
		limit := time.AfterFunc(time.Minute, func() { fsck.Process.Kill() })
		err := fsck.Wait()
		limit.Stop()
		if err != nil || !strings.Contains(said.String(), "Successfully fsck'd") {
			must(fmt.Errorf("fsck of %s: %v\n%s", address, err, said.String()))
		}
	}
}

// Makes changes and tokens, and waits until the log has them.
func makeEvents() {
	// Each check has agents of its own, since both run against one server.
	var lines strings.Builder
	for number := range agents {
		fmt.Fprintf(&lines, "{\"clientId\":\"%s-%d\",\"secretHash\":\"%s\"}\n", os.Getenv("CLIENT_ID"), number, hash)
	}
	file := filepath.Join(os.TempDir(), "agents.ndjson")
	must(os.WriteFile(file, []byte(lines.String()), 0o600))
	run("agent", "import", file)
	for range tokens {
		bearer(os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"))
	}
	waitUntilLogged()
}

func waitUntilLogged() {
	for range 300 {
		var found struct {
			Pending, Entries int64
		}
		must(json.Unmarshal([]byte(run("audit", "verify", "--json")), &found))
		if found.Pending == 0 && found.Entries > 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	must(fmt.Errorf("the log does not get everything"))
}

// The newest checkpoint.
func checkpoint(verifier note.Verifier) ([]byte, tlog.Tree) {
	signed := get("/audit/log/checkpoint", 200)
	return signed, open(signed, verifier)
}

func open(signed []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	expect("origin", lines[0], verifier.Name())
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

// An entry, from the narrowest bundle that has it.
func entry(index int64) []byte {
	bundle := tlog.Tile{H: 8, L: 0, N: index / 256, W: int(index%256 + 1)}
	rest := get("/audit/log/"+strings.Replace(bundle.Path(), "tile/8/0/", "tile/entries/", 1), 200)
	for range index % 256 {
		rest = rest[2+int(binary.BigEndian.Uint16(rest)):]
	}
	return rest[2:]
}

func parse(lines []string) (hashes []tlog.Hash) {
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		must(err)
		hashes = append(hashes, hash)
	}
	return hashes
}

// Reads the tiles of the log over HTTP.
type tiles struct{}

func (tiles) Height() int { return 8 }

func (tiles) ReadTiles(wanted []tlog.Tile) (read [][]byte, err error) {
	for _, tile := range wanted {
		read = append(read, get("/audit/log/"+strings.Replace(tile.Path(), "tile/8/", "tile/", 1), 200))
	}
	return read, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func get(path string, status int) []byte {
	request, err := http.NewRequest("GET", api+path, nil)
	must(err)
	request.Header.Set("Authorization", "Bearer "+auditor)
	response, err := http.DefaultClient.Do(request)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	if response.StatusCode != status {
		must(fmt.Errorf("%s: %s\n%s", path, response.Status, body))
	}
	return body
}

// The id and the secret of a new agent.
func agent(scope string) (string, string) {
	var made struct {
		AgentID, ClientSecret string
	}
	must(json.Unmarshal([]byte(run("agent", "create", "--json", "--name", "auditor", "--scope", scope)), &made))
	return made.AgentID, made.ClientSecret
}

func bearer(id, secret string) string {
	response, err := http.PostForm(api+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
	must(err)
	defer response.Body.Close()
	var given struct {
		Token string `json:"access_token"`
	}
	must(json.NewDecoder(response.Body).Decode(&given))
	expect("a token is issued", given.Token != "", true)
	return given.Token
}

func run(arguments ...string) string {
	command := exec.Command(os.Getenv("SEALWRIGHT"), arguments...)
	command.Stderr = os.Stderr
	said, err := command.Output()
	if err != nil {
		must(fmt.Errorf("%v: %v\n%s", arguments, err, said))
	}
	return string(said)
}

func expect[T comparable](what string, seen, wanted T) {
	if seen != wanted {
		must(fmt.Errorf("%s: saw %v, wanted %v", what, seen, wanted))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
