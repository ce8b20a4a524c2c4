import Foundation
import Imaging
import Testing

@Suite("Names and folders of BIDS")
struct BIDSFolderTests {
  private final class Folder {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("bids-\(UUID().uuidString)").path

    /// A dataset of empty files.
    init(_ files: [String]) throws {
      for file in files { try write("", to: file) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, to name: String) throws {
      let url = URL(fileURLWithPath: path + "/" + name)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
  }

  @Test("a name is its entities and its suffix, and is written as it was read")
  func names() throws {
    let name = try BIDSName("a/b/sub-01_ses-2_acq-fast_run-03_T1w.nii.gz")
    #expect(name.suffix == "T1w" && name.stem == "sub-01_ses-2_acq-fast_run-03_T1w")
    #expect(name.entities.map(\.key) == ["sub", "ses", "acq", "run"])
    #expect(name["run"] == "03" && name["desc"] == nil)
    #expect(BIDSName.subject(of: "sub-01_T1w") == "sub-01" && BIDSName.subject(of: "x") == nil)
  }

  @Test(
    "a label goes where BIDS has its key, in place of one that is there",
    arguments: [
      ("sub-01_T1w", "desc", "sub-01_desc-new_T1w"),
      ("sub-01_desc-brain_T1w", "desc", "sub-01_desc-new_T1w"),
      ("sub-01_space-MNI_desc-brain_T1w", "label", "sub-01_space-MNI_label-new_desc-brain_T1w"),
      ("sub-01_run-1_T1w", "acq", "sub-01_acq-new_run-1_T1w"),
      ("sub-01_run-1_custom-x_T1w", "desc", "sub-01_run-1_custom-x_desc-new_T1w"),
      ("sub-01_run-1_custom-x_T1w", "label", "sub-01_run-1_custom-x_label-new_T1w"),
    ])
  func setting(_ before: String, _ key: String, _ after: String) throws {
    #expect(try BIDSName(before).setting(key, to: "new").stem == after)
  }

  @Test("suffixes are replaced, and labels made of any text")
  func labels() throws {
    #expect(try BIDSName("sub-1_T1w").replacingSuffix(with: "mask").stem == "sub-1_mask")
    #expect(BIDSName.label(from: "stroke-2.5d") == "stroke25d" && BIDSName.label(from: "é-") == "x")
    #expect(!BIDSName.isLabel("") && !BIDSName.isLabel("a-b") && BIDSName.isLabel("T1w"))
  }

  @Test(
    "what is no name of BIDS is refused with the reason",
    arguments: [
      ("scan", "does not begin with sub-"), ("sub-01_", "no suffix"), ("sub-01", "no suffix"),
      ("sub-01_run1_T1w", "`run1`"), ("sub-01_run-_T1w", "`run-`"), ("sub-01_-1_T1w", "`-1`"),
      ("sub-01_run-1_run-2_T1w", "two labels for `run`"), ("sub-0 1_T1w", "`sub-0 1`"),
      ("ses-1_sub-01_T1w", "does not begin with sub-"), ("sub-01_Run-1_T1w", "`Run-1`"),
    ])
  func refused(_ name: String, _ reason: String) {
    let error = #expect(throws: ImagingError.self) { try BIDSName(name + ".nii.gz") }
    #expect(error?.code == 65 && error?.cause.contains(reason) == true, "\(error?.cause ?? "")")
  }

  @Test("participants, sessions and images; what is named otherwise is told and not among them")
  func reads() throws {
    let folder = try Folder([
      "sub-02/anat/sub-02_T1w.nii", "sub-02/anat/sub-02_T1w.json", "sub-02/sub-02_T1w.nii",
      "sub-02/anat/deep/sub-02_T1w.nii", "sub-02/anat/sub-03_T1w.nii.gz", "sub-02/anat/x.nii",
      "sub-10/ses-B/pet/sub-10_ses-B_pet.nii.gz", "sub-10/ses-A/anat/sub-10_ses-A_T1w.nii.gz",
      "sub-10/ses-A/anat/sub-10_ses-B_T1w.nii.gz", "sub-10/ses-A/anat/sub-10_FLAIR.nii.gz",
      "derivatives/sub-99/anat/sub-99_T1w.nii", "sub-empty.txt",
    ])
    let set = try BIDSFolder(path: folder.path)
    #expect(set.participantLabels == ["02", "10"])
    let (plain, visits) = (set.participant("02"), set.participant("10"))
    #expect(plain.images.map(\.path) == ["sub-02/anat/sub-02_T1w.nii"])
    #expect(plain.sessions.isEmpty && plain.images[0].session == nil)
    #expect(plain.images[0].folder == "sub-02/anat")
    #expect(
      plain.problems.compactMap(\.file) == ["sub-02/anat/sub-03_T1w.nii.gz", "sub-02/anat/x.nii"])
    #expect(visits.sessions == ["A", "B"] && visits.images.map(\.name.suffix) == ["T1w", "pet"])
    #expect(visits.problems.count == 2)
    #expect(
      visits.problems.map(\.cause).contains { $0 == "its name is of ses-B, its folder of ses-A" })
    #expect(set.participant("99").images.isEmpty)
  }

  @Test("links to folders are followed")
  func links() throws {
    let folder = try Folder(["store/anat/sub-01_T1w.nii.gz", "set/sub-02/anat/sub-02_T1w.nii.gz"])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/set/sub-01", withDestinationPath: folder.path + "/store")
    let set = try BIDSFolder(path: folder.path + "/set")
    #expect(set.participantLabels == ["01", "02"] && set.participant("01").images.count == 1)
  }

  @Test("a folder without participants, and descriptions that say too little")
  func descriptions() throws {
    let folder = try Folder(["anat/x.nii"])
    #expect(throws: ImagingError.noImages(folder: folder.path)) {
      try BIDSFolder(path: folder.path)
    }
    #expect(throws: ImagingError.self) { try BIDSFolder(path: folder.path + "/none") }
    try folder.write("", to: "sub-01/anat/sub-01_T1w.nii")
    let set = try BIDSFolder(path: folder.path)
    #expect(#expect(throws: ImagingError.self) { try set.description() }?.code == 66)
    for text in [
      "", "[]", #"{"Name": "x"}"#, #"{"Name": "", "BIDSVersion": "1"}"#,
      #"{"Name": "x", "BIDSVersion": 1}"#, #"{"Name": "x", "BIDSVersion": "1", "DatasetDOI": 2}"#,
    ] {
      try folder.write(text, to: "dataset_description.json")
      #expect(#expect(throws: ImagingError.self) { try set.description() }?.code == 65, "\(text)")
    }
    try folder.write(
      #"{"Name": "x", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:1", "License": "CC0"}"#,
      to: "dataset_description.json")
    let read = try set.description()
    #expect(read.name == "x" && read.version == "1.8.0" && read.doi == "doi:1")
  }

  @Test("images of several suffixes go together by session and by entities")
  func groups() throws {
    let folder = try Folder([
      "sub-1/ses-A/anat/sub-1_ses-A_run-1_T1w.nii", "sub-1/ses-A/anat/sub-1_ses-A_run-2_T1w.nii",
      "sub-1/ses-A/anat/sub-1_ses-A_run-1_FLAIR.nii",
      "sub-1/ses-A/anat/sub-1_ses-A_run-2_FLAIR.nii",
      "sub-1/ses-B/anat/sub-1_ses-B_acq-x_T1w.nii", "sub-1/ses-B/anat/sub-1_ses-B_FLAIR.nii",
      "sub-1/ses-C/anat/sub-1_ses-C_T2w.nii",
      "sub-2/anat/sub-2_T1w.nii", "sub-3/anat/sub-3_FLAIR.nii",
      "sub-4/anat/sub-4_T1w.nii", "sub-4/anat/sub-4_acq-a_FLAIR.nii",
      "sub-4/anat/sub-4_acq-b_FLAIR.nii",
      "sub-5/anat/sub-5_T1w.nii", "sub-5/anat/sub-5_T1w.nii.gz",
    ])
    let set = try BIDSFolder(path: folder.path)
    func groups(_ label: String, _ sessions: Set<String>? = nil) throws -> [[String]] {
      try set.participant(label).groups(of: ["T1w", "FLAIR"], sessions: sessions)
        .map { $0.map(\.name.stem) }
    }
    #expect(
      try groups("1") == [
        ["sub-1_ses-A_run-1_T1w", "sub-1_ses-A_run-1_FLAIR"],
        ["sub-1_ses-A_run-2_T1w", "sub-1_ses-A_run-2_FLAIR"],
        ["sub-1_ses-B_acq-x_T1w", "sub-1_ses-B_FLAIR"],
      ])
    #expect(try groups("1", ["B"]).count == 1 && groups("1", ["C"]).isEmpty)
    // Images without a session are of none that is asked for.
    #expect(try groups("2", ["A"]).isEmpty)
    let alone = #expect(throws: ImagingError.self) { try groups("2") }
    #expect(alone?.code == 66 && alone?.file == "sub-2/anat/sub-2_FLAIR.nii.gz")
    let guide = #expect(throws: ImagingError.self) { try groups("3") }
    #expect(guide?.code == 66 && guide?.file == "sub-3/anat/sub-3_T1w.nii.gz")
    let several = #expect(throws: ImagingError.self) { try groups("4") }
    #expect(several?.code == 65 && several?.cause.contains("2 FLAIR images") == true)
    #expect(try set.participant("5").groups(of: ["T1w"]).count == 2)
  }
}
