// Package suite is the chaos suite: a table of scenarios that are played
// against the real program, a process of its own, between origins that fail in
// every way and clients that keep a ledger of every request.
//
// A [Scenario] is data: a configuration, a load, steps (at this time this
// fault, by that time that state) and what must be true of the whole in the
// end. [Play] plays one and returns an [Outcome]. Whatever a scenario asks for
// itself, the invariants of invariants.go are checked after every one of them.
// The scenarios stand in the test files of this package, one file a subject;
// docs/chaos.md says which promise each of them proves.
//
//	go test ./internal/chaos/suite                                  the default set
//	make chaos                                                      all, with a report
//	go test ./internal/chaos/suite -run 'Scenarios/connect_refused' one
//
// The process under test is built from the sources, or is the file that
// FAIRLEAD_CHAOS_BINARY names: that is how mutants are held against the suite.
package suite
