// The live steps of clients/live/README.md, with the Go library.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	r, err := newRun()
	if err != nil {
		log.Fatal(err)
	}
	steps := r.steps()
	if os.Getenv("LIVE_PART") == "figures" {
		steps = r.figures()
	}
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		seen, err := step.run(ctx)
		cancel()
		if err != nil {
			fmt.Printf("not ok %s: %v\n", step.name, err)
			r.close()
			os.Exit(1)
		}
		fmt.Printf("ok %s: %s\n", step.name, seen)
	}
	r.close()
}

// step is a row of the table: it says what was seen, or why it does not hold.
type step struct {
	name string
	run  func(context.Context) (string, error)
}

// expect is an error if what was seen is not what was wanted.
func expect[T comparable](what string, seen, wanted T) error {
	if seen != wanted {
		return fmt.Errorf("%s: saw %v, wanted %v", what, seen, wanted)
	}
	return nil
}

// expectError is an error unless err is one of type E, which it gives.
func expectError[E error](what string, err error) (E, error) {
	var wanted E
	if !errors.As(err, &wanted) {
		return wanted, fmt.Errorf("%s: saw %v, wanted %T", what, err, wanted)
	}
	return wanted, nil
}
