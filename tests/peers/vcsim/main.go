// vcsim serves govmomi's vSphere simulator on loopback: a server that speaks
// real SOAP and shares no code with ours, for our client to prove itself on.
//
// The first line on standard output is the address. Every request and reply is
// appended to the file named by -trace, so that a test can count calls.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	kind := flag.String("kind", "vpx", "vpx for a vCenter, esx for a stand-alone host")
	machines := flag.Int("vms", 2, "virtual machines per resource pool")
	datacenters := flag.Int("datacenters", 1, "datacenters (vpx only)")
	folders := flag.Int("folders", 0, "folders around each kind of object (vpx only)")
	user := flag.String("user", "user", "the one account")
	password := flag.String("password", "pass", "its password")
	trace := flag.String("trace", "", "file that takes requests and replies")
	flag.Parse()

	var model *simulator.Model
	switch *kind {
	case "vpx":
		model = simulator.VPX()
		model.Datacenter = *datacenters
		model.Folder = *folders
	case "esx":
		model = simulator.ESX()
	default:
		log.Fatalf("-kind is vpx or esx, not %q", *kind)
	}
	model.Machine = *machines
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	defer model.Remove()

	if *trace != "" {
		file, err := os.OpenFile(*trace, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		simulator.Trace = true
		simulator.TraceFile = file
	}
	log.SetOutput(io.Discard)

	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{
		Host: "127.0.0.1:0",
		User: url.UserPassword(*user, *password),
	}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Printf("https://%s/sdk\n", server.URL.Host)

	// The parent holds the other end of standard input: when it goes, so do we.
	_, _ = io.Copy(io.Discard, os.Stdin)
}
