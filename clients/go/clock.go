package sealwright

import "time"

// A clock tells the time of day, which an operator or NTP may step, and the time that passed, which only
// moves forward. Lifetimes that this process measures itself use the second.
type clock interface {
	now() time.Time
	// elapsed is the time since some moment before the process used the clock.
	elapsed() time.Duration
}

type systemClock struct{ start time.Time }

func newSystemClock() clock { return systemClock{start: time.Now()} }

// now has no monotonic part, so that two of them are compared as times of day.
func (systemClock) now() time.Time { return time.Now().Round(0) }

func (c systemClock) elapsed() time.Duration { return time.Since(c.start) }
