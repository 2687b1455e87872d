// Packs this module as the files of a module proxy, into the folder that it is given.
package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	module    = "sealwright.example/sealwright"
	changelog = "CHANGELOG.md"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: pack DIR")
	}
	version, err := pack(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s@%s\n", module, version)
}

// pack writes the list of versions, and the description, go.mod and files of this one.
func pack(into string) (string, error) {
	version, err := newest()
	if err != nil {
		return "", err
	}
	files, err := listFiles()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(into, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	goMod, err := os.ReadFile("go.mod")
	if err != nil {
		return "", err
	}
	info, err := json.Marshal(map[string]string{"Version": version, "Time": time.Unix(0, 0).UTC().Format(time.RFC3339)})
	if err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{"list": []byte(version + "\n"), version + ".mod": goMod, version + ".info": info} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return "", err
		}
	}
	return version, writeZip(filepath.Join(folder, version+".zip"), version, files)
}

// newest is the first version of the changelog.
func newest() (string, error) {
	text, err := os.ReadFile(changelog)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`).FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%s names no version", changelog)
	}
	return "v" + string(found[1]), nil
}

// listFiles gives the files of the module that belong to the project, without those of a module inside.
func listFiles() ([]string, error) {
	listed, err := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").Output()
	if err != nil {
		return walkFiles()
	}
	files := strings.Split(strings.TrimRight(string(listed), "\x00"), "\x00")
	return ofThisModule(files), nil
}

// walkFiles is for a tree without git.
func walkFiles() ([]string, error) {
	var files []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, filepath.ToSlash(name))
		}
		return err
	})
	return ofThisModule(files), err
}

func ofThisModule(files []string) []string {
	var inside []string
	for _, name := range files {
		if strings.HasSuffix(name, "/go.mod") {
			inside = append(inside, path.Dir(name)+"/")
		}
	}
	files = slices.DeleteFunc(files, func(name string) bool {
		_, err := os.Stat(filepath.FromSlash(name))
		return err != nil || slices.ContainsFunc(inside, func(folder string) bool { return strings.HasPrefix(name, folder) })
	})
	slices.Sort(files)
	return files
}

func writeZip(name, version string, files []string) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := zip.NewWriter(out)
	for _, file := range files {
		if err := add(archive, fmt.Sprintf("%s@%s/%s", module, version, file), file); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.Close()
}

func add(archive *zip.Writer, as, file string) error {
	from, err := os.Open(filepath.FromSlash(file))
	if err != nil {
		return err
	}
	defer from.Close()
	// Without a time, the same files make the same bytes.
	to, err := archive.CreateHeader(&zip.FileHeader{Name: as, Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return err
}
