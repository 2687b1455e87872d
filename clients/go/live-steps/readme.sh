# Prints a program made of the code blocks of README.md, whose addresses are taken from the environment: `sh readme.sh README.md`
# With an argument it is the service, and the agent without one.
set -eu

# The text of one block.
block() {
    awk -v wanted="$1" '/^```go$/ { block++; inside = 1; next } /^```$/ { inside = 0 } inside && block == wanted' "$page" |
        sed -e 's|"https://auth.example"|os.Getenv("SEALWRIGHT_URL")|' -e 's|"https://api.example/rows"|os.Getenv("ROWS")|' \
            -e 's|"https://api.example"|os.Getenv("SEALWRIGHT_AUDIENCE")|'
}

page=$1
[ "$(grep -c '^```go$' "$page")" -eq 3 ]
cat <<PROGRAM
package main

import (
	"errors"
	"io"
	"log"
	"net/http"
	"os"

	"sealwright.example/sealwright"
)

func callService() error {
$(block 1)
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func explain(err error) {
$(block 2)
}

func serve(rows http.Handler) error {
$(block 3)
	return http.ListenAndServe(os.Getenv("LISTEN"), nil)
}

func main() {
	if len(os.Args) > 1 {
		log.Fatal(serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, _ := sealwright.ClaimsFrom(r.Context())
			io.WriteString(w, "rows for "+claims.ClientID)
		})))
	}
	if err := callService(); err != nil {
		explain(err)
		log.Fatal(err)
	}
}
PROGRAM
