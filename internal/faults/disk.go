package faults

// scripts is where the tests of the command line are.
const scripts = "cmd/wherry/testdata/script/"

// disk is what goes wrong on the disk, and with the process. No registry can be
// made to do that: other tests hold it.
var disk = []Fault{
	{
		Name: "killed", Part: Disk, Does: "kill -9 at any point",
		Held: []string{
			"internal/killed.TestKilledAtAnyMomentWhatIsThereIsWholeAndOneRerunCompletes", "internal/killed.TestOfABlobThatWasHalfThereLittleIsFetchedAgain", "archive.TestWhatKilledProcessesLeftIsRemoved",
			"e2e.TestAKilledCopyLeavesAValidLayout", "e2e.TestAKilledCopyIntoARegistryIsCompletedByARerun",
		},
	},
	{
		Name: "power-loss", Part: Disk, Does: "the power fails",
		Out: "files are synced before they get their names, and folders after; nothing here takes away what was not synced",
	},
	{
		Name: "two-writers", Part: Disk, Does: "several processes write into one layout",
		Held: []string{"layout.TestEightProcessesKeepAllTagsAndFetchTheSharedLayerOnce", "internal/durable.TestTheLockOfADeadProcessIsTakenOver", "e2e.TestEightProcessesWriteOneLayout"},
	},
	{
		Name: "other-writer", Part: Disk, Does: "another tool writes index.json meanwhile",
		Held: []string{"layout.TestAToolThatKnowsNoLockLosesNothing", "layout.TestWhatOthersWroteIsKept"},
	},
	{
		Name: "half-index", Part: Disk, Does: "index.json is there in part",
		Held: []string{"layout.TestEveryHalfOfAnIndexIsRefused", "layout.TestBrokenIndexes"},
	},
	{
		Name: "damaged-blob", Part: Disk, Does: "a blob in a layout has other bytes, or fewer",
		Held: []string{"layout.TestADamagedBlobIsFoundNeverPassedOnAndReplaced", "internal/cli.TestARootThatWentBadOnDiskIsWrittenAgain", "e2e.TestDamageInALayoutIsHealed"},
	},
	{
		Name: "disk-full", Part: Disk, Does: "no room: ENOSPC, EDQUOT, EFBIG",
		Held: []string{"layout.TestAFullDiskIsSaidAndWhatWasFetchedIsUsedTheNextTime", "archive.TestAFullDiskHasItsClass", scripts + "no-space.txtar"},
	},
	{
		Name: "disk-error", Part: Disk, Row: "disk-full", Does: "EIO",
		Out: "no test has a disk that fails to read or write; what was told of it is the error of the system, and no partial blob is named",
	},
	{
		Name: "read-only", Part: Disk, Does: "a folder that may not be written to",
		Held: []string{"layout.TestAFolderThatCannotBeWrittenToIsLeftAlone"},
	},
	{
		Name: "odd-file-system", Part: Disk, Does: "names that fold, long paths, no hard links",
		Out: "all names that are made are digests in hex and a few fixed ones, and nothing is linked",
	},
	{
		Name: "wrong-clock", Part: Disk, Does: "this machine's clock is years off",
		Held: []string{"internal/doctor.TestStepsAgreeWithEachOther", "registry.TestTokensLastAsLongAsTheySay"},
	},
	{
		Name: "signals", Part: Disk, Does: "SIGINT, SIGTERM, SIGHUP, a reader that went away",
		Held: []string{"e2e.TestAnInterruptedCopyEndsAtOnceAndGoesOn", scripts + "interrupt.txtar", scripts + "interrupt-again.txtar", scripts + "broken-pipe.txtar"},
	},
	{
		Name: "few-files", Part: Disk, Does: "few files may be open",
		Out: "how many connections and files are open does not follow the system's limit; a run has a few dozen",
	},
}
