// Package config turns Fairlead's TOML file into a checked Config.
//
//	cfg, err := config.Load("fairlead.toml", config.Options{})
//	var problems config.Problems
//	switch {
//	case errors.As(err, &problems):
//		for _, p := range problems {
//			fmt.Println(p) // fairlead.toml:12:8: server: idle_timeout = 75: ...
//		}
//	case err != nil:
//		fmt.Println(err) // the file couldn't be read
//	default:
//		fmt.Println(len(cfg.Routes), "routes")
//	}
//
// A Config that Load or Parse returned is complete and consistent: every key
// that the file leaves out has its default, every name refers to something,
// and no two settings contradict each other. Whoever takes a Config need not
// check it again.
//
// The file is read strictly. An unknown key, a value of the wrong type or out
// of range, a missing reference and a contradiction are each a Problem with
// its position, and all of them are reported at once, in the order of the
// file. A syntax error costs only its line. But where it may hide more than one
// key (in a header, at the top, in a value of several lines), missing keys and
// contradictions are looked for only once it is mended.
//
// The package refuses to guess: it converts no number to a duration, reads no
// environment variable, includes no other file and knows no aliases. It opens
// nothing but the file itself and the CA files that it names. It knows no route
// syntax either: Options.Patterns brings that.
//
// The work is divided by file: toml.go makes a tree with positions out of
// bytes and is the only one that knows the TOML library, syntax.go
// explains what is no TOML, load.go reads files and turns the tree into values,
// keys.go says which keys there are and value.go and address.go what they may
// hold, validate.go has the rules that need more than one key.
package config
